//! Weights that stay in the order of the kernels while many convolutions read them.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{CpuStorage, Storage, Tensor};

use super::super::real::Real;
use super::weights::{Order, Packed};

/// Keeps reordered weights on this thread for as long as it lives; see [`keep_weights`].
#[must_use = "keeps weights for as long as it lives"]
pub struct KeptWeights {
    outermost: bool,
}

/// From here on, convolutions of this thread put a weight into the order of their kernels once instead of at every call, until the
/// result is dropped: worth it where a network runs again and again on few frames, as in a rollout.
///
/// Takes as much memory as the weights themselves, for each direction and size of input that asks for another order. Updates by
/// optimizers are seen: they end what was kept before. Other writes into a weight in place (`Var::set`) are not, until the end. Guards
/// may be nested; the outermost counts. Products in bf16 have no use for it.
pub fn keep_weights() -> KeptWeights {
    let outermost = STATE.with_borrow_mut(|state| {
        let outermost = state.is_none();
        state.get_or_insert_default();
        outermost
    });
    KeptWeights { outermost }
}

impl Drop for KeptWeights {
    fn drop(&mut self) {
        if self.outermost {
            STATE.set(None);
        }
    }
}

thread_local! {
    static STATE: RefCell<Option<Vec<Kept>>> = const { RefCell::new(None) };
}

/// A weight and its orders.
struct Kept {
    /// Where its elements are. The tensor beside it keeps others from getting there.
    address: usize,
    _weight: Tensor,
    orders: Vec<Rc<dyn Any>>,
}

/// Forgets everything: weights have changed.
pub(crate) fn forget() {
    STATE.with_borrow_mut(|state| {
        if let Some(kept) = state {
            kept.clear();
        }
    });
}

/// Says that this tensor is a weight, to be kept if anything is.
pub(super) fn hold(weight: &Tensor) {
    STATE.with_borrow_mut(|state| {
        let Some(kept) = state else { return };
        let Some(address) = address(weight) else { return };
        if kept.iter().all(|k| k.address != address) {
            kept.push(Kept { address, _weight: weight.detach(), orders: Vec::new() });
        }
    });
}

/// The elements of a contiguous tensor on the CPU.
fn address(weight: &Tensor) -> Option<usize> {
    let (storage, layout) = weight.storage_and_layout();
    let (first, _) = layout.contiguous_offsets()?;
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => Some(values[first..].as_ptr() as usize),
        Storage::Cpu(CpuStorage::F64(values)) => Some(values[first..].as_ptr() as usize),
        _ => None,
    }
}

/// The weight in this order: the kept one, or a new one, kept if [`hold`] knows the weight.
pub(super) fn packed<T: Real>(weight: &[T], order: Order) -> Rc<Packed<T>> {
    let address = weight.as_ptr() as usize;
    let found = STATE.with_borrow(|state| {
        let kept = state.as_ref()?.iter().find(|k| k.address == address)?;
        let orders = kept.orders.iter().filter_map(|any| any.clone().downcast::<Packed<T>>().ok());
        orders.into_iter().find(|packed| packed.order == order)
    });
    if let Some(found) = found {
        return found;
    }
    let packed = Rc::new(Packed::new(weight, order));
    STATE.with_borrow_mut(|state| {
        let kept = state.iter_mut().flatten().find(|k| k.address == address);
        if let Some(kept) = kept {
            kept.orders.push(packed.clone());
        }
    });
    packed
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::super::{ConvParams, conv, conv_transpose};
    use super::*;
    use crate::Rng;
    use crate::grad::backward;

    fn random(name: &str, dims: &[usize]) -> Tensor {
        Rng::new(5).stream(name).uniform_tensor(dims, -1.0, 1.0, DType::F32, &Device::Cpu).unwrap()
    }

    fn bits(x: &Tensor) -> Vec<u32> {
        x.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }

    /// Orders that are kept for all weights together.
    fn orders() -> usize {
        STATE.with_borrow(|state| state.iter().flatten().map(|k| k.orders.len()).sum())
    }

    #[test]
    fn kept_weights_give_the_same_bits_in_all_directions() {
        let weight = Var::from_tensor(&random("weight", &[24, 17, 3, 3])).unwrap();
        let (x, y) = (random("x", &[2, 17, 9, 8]), random("y", &[2, 24, 9, 8]));
        let params = ConvParams::uniform(1, 1);
        let run = || {
            let x = Var::from_tensor(&x).unwrap();
            let out = conv(&x, &weight, &params).unwrap();
            let grads = backward(&out.sqr().unwrap().sum_all().unwrap()).unwrap();
            let back = conv_transpose(&y, &weight, &params, [0; 3]).unwrap();
            let of = |x: &Var| bits(grads.get(x).unwrap());
            [bits(&out), of(&x), of(&weight), bits(&back)]
        };
        let plain = run();
        let _kept = keep_weights();
        assert_eq!(run(), plain);
        let first = orders();
        assert!(first >= 2, "one for each direction at least, not {first}");
        assert_eq!(run(), plain);
        assert_eq!(orders(), first, "the second time finds all of them");
    }

    #[test]
    fn parts_of_a_weight_are_told_apart() {
        let weight = random("weight", &[32, 8, 3, 3]);
        let x = random("x", &[1, 8, 6, 6]);
        let half =
            |k: usize| conv(&x, &weight.narrow(0, 16 * k, 16).unwrap(), &ConvParams::uniform(1, 1)).unwrap();
        let plain = [bits(&half(0)), bits(&half(1))];
        let _kept = keep_weights();
        assert_eq!([bits(&half(0)), bits(&half(1))], plain);
        assert_eq!([bits(&half(0)), bits(&half(1))], plain);
        assert_eq!(orders(), 2);
    }

    #[test]
    fn new_weights_never_take_the_place_of_kept_ones() {
        let x = random("x", &[1, 8, 6, 6]);
        let of =
            |k: usize| conv(&x, &random(&k.to_string(), &[16, 8, 3, 3]), &ConvParams::uniform(1, 1)).unwrap();
        let plain: Vec<_> = (0..20).map(|k| bits(&of(k))).collect();
        let _kept = keep_weights();
        // Each weight is dropped by its owner at once; its memory must not go to the next one.
        assert_eq!((0..20).map(|k| bits(&of(k))).collect::<Vec<_>>(), plain);
    }

    #[test]
    fn updates_and_the_end_of_the_outermost_guard_forget() {
        let (x, weight) = (random("x", &[1, 8, 6, 6]), random("weight", &[16, 8, 3, 3]));
        let run = || conv(&x, &weight, &ConvParams::uniform(1, 1)).unwrap();
        let outer = keep_weights();
        drop(keep_weights());
        run();
        assert_eq!(orders(), 1, "the inner guard's end changes nothing");
        forget();
        assert_eq!(orders(), 0);
        run();
        drop(outer);
        run();
        assert_eq!(orders(), 0, "nothing is kept without a guard");
    }
}
