//! Element-wise in-place updates, in parallel over fixed chunks.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, bail};
use rayon::prelude::*;

const CHUNK: usize = 1 << 14;

/// `x_i = f(x_i, a_i)`; the formula is written once for each precision.
pub(super) struct Zip2<F32, F64> {
    pub name: &'static str,
    pub f32: F32,
    pub f64: F64,
}

/// `x_i = f(x_i, a_i, b_i)`.
pub(super) struct Zip3<F32, F64> {
    pub name: &'static str,
    pub f32: F32,
    pub f64: F64,
}

fn range(layout: &Layout, what: &str) -> Result<std::ops::Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("{what}: in-place update of a tensor that is not contiguous"),
    }
}

fn zip2<T: Copy + Send + Sync>(x: &mut [T], a: &[T], f: impl Fn(T, T) -> T + Sync) {
    x.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).for_each(|(x, a)| {
        for (x, a) in x.iter_mut().zip(a) {
            *x = f(*x, *a);
        }
    });
}

fn zip3<T: Copy + Send + Sync>(x: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T, T) -> T + Sync) {
    x.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK)).zip(b.par_chunks(CHUNK)).for_each(|((x, a), b)| {
        for ((x, a), b) in x.iter_mut().zip(a).zip(b) {
            *x = f(*x, *a, *b);
        }
    });
}

impl<F32, F64> InplaceOp2 for Zip2<F32, F64>
where
    F32: Fn(f32, f32) -> f32 + Sync,
    F64: Fn(f64, f64) -> f64 + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, x: &mut CpuStorage, lx: &Layout, a: &CpuStorage, la: &Layout) -> Result<()> {
        let (rx, ra) = (range(lx, self.name)?, range(la, self.name)?);
        match (x, a) {
            (CpuStorage::F32(x), CpuStorage::F32(a)) => zip2(&mut x[rx], &a[ra], &self.f32),
            (CpuStorage::F64(x), CpuStorage::F64(a)) => zip2(&mut x[rx], &a[ra], &self.f64),
            _ => bail!("{}: expected f32 or f64 tensors of one type", self.name),
        }
        Ok(())
    }
}

impl<F32, F64> InplaceOp3 for Zip3<F32, F64>
where
    F32: Fn(f32, f32, f32) -> f32 + Sync,
    F64: Fn(f64, f64, f64) -> f64 + Sync,
{
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        x: &mut CpuStorage,
        lx: &Layout,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<()> {
        let (rx, ra, rb) = (range(lx, self.name)?, range(la, self.name)?, range(lb, self.name)?);
        match (x, a, b) {
            (CpuStorage::F32(x), CpuStorage::F32(a), CpuStorage::F32(b)) => {
                zip3(&mut x[rx], &a[ra], &b[rb], &self.f32);
            }
            (CpuStorage::F64(x), CpuStorage::F64(a), CpuStorage::F64(b)) => {
                zip3(&mut x[rx], &a[ra], &b[rb], &self.f64);
            }
            _ => bail!("{}: expected f32 or f64 tensors of one type", self.name),
        }
        Ok(())
    }
}
