use super::super::real::Real;
use super::*;

/// Small integers: every sum is exact, so the order of additions does not matter.
fn numbers<T: Real>(n: usize, period: usize) -> Vec<T> {
    (0..n).map(|i| T::of(((i * 37) % period) as f64 - (period / 2) as f64)).collect()
}

/// Steps of a long sum; Miri takes its time for each.
const LONG: usize = if cfg!(miri) { 20 } else { 300 };

fn tiles_agree_with_loops<T: Real>(kernel: &Kernel<T>) {
    let a = numbers::<T>(4000, 19);
    for vectors in 1..=kernel.tiles.len() {
        let width = vectors * kernel.lanes;
        for (rows, depth) in [(1, 1), (5, 7), (13, LONG), (29, 1), (2, 0)] {
            let rows: Vec<u32> = (0..rows).map(|r| (r * 53 % 401) as u32).collect();
            let steps: Vec<u32> = (0..depth).map(|k| (k * 11 % 3001) as u32).collect();
            let b = numbers::<T>(depth * width, 23);
            let c_stride = width + 3;
            let mut c = vec![T::of(3.0); rows.len() * c_stride];
            let product =
                Product { a: &a, rows: &rows, steps: &steps, b: &b, vectors, c_stride, accumulate: true };
            kernel.multiply(&product, &mut c);
            for (i, got) in c.iter().enumerate() {
                let (r, j) = (i / c_stride, i % c_stride);
                let term = |k: usize| a[(rows[r] + steps[k]) as usize].to_f64() * b[k * width + j].to_f64();
                let want: f64 = if j < width { (0..depth).map(term).sum() } else { 0.0 };
                assert_eq!(
                    got.to_f64(),
                    want + 3.0,
                    "row {r}, column {j} of {vectors} vectors, depth {depth}"
                );
            }
        }
    }
}

fn strips_agree_with_loops<T: Real>(kernel: &Kernel<T>) {
    let a = numbers::<T>(4000, 19);
    for (outputs, length, depth) in [(1, 1, 5), (3, 2 * LONG + 100, 27), (4, 33, 1), (7, 130, 9), (16, 40, 3)]
    {
        let steps: Vec<u32> = (0..depth).map(|k| (k * 71 % 2501) as u32).collect();
        let b = numbers::<T>(depth * outputs, 23);
        let c_stride = length + kernel.strip_slack();
        let mut c = vec![T::of(1.0); outputs * c_stride];
        let mut product =
            Strips { a: &a, steps: &steps, b: &b, outputs, length, c_stride, accumulate: false };
        kernel.strips(&product, &mut c);
        product.accumulate = true;
        kernel.strips(&product, &mut c);
        for o in 0..outputs {
            for p in 0..length {
                let term = |k: usize| a[steps[k] as usize + p].to_f64() * b[k * outputs + o].to_f64();
                let want: f64 = (0..depth).map(term).sum();
                assert_eq!(c[o * c_stride + p].to_f64(), 2.0 * want, "output {o} of {outputs}, position {p}");
            }
        }
    }
}

fn agrees_with_loops<T: Real>(kernel: &Kernel<T>) {
    tiles_agree_with_loops(kernel);
    strips_agree_with_loops(kernel);
}

#[test]
fn every_kernel_of_this_cpu_agrees_with_plain_loops() {
    agrees_with_loops(&portable::f32_kernel());
    agrees_with_loops(&portable::f64_kernel());
    #[cfg(target_arch = "x86_64")]
    {
        let simd = Simd::detect();
        if simd != Simd::Baseline {
            agrees_with_loops(&x86::avx2::f32_kernel());
            agrees_with_loops(&x86::avx2::f64_kernel());
        }
        if simd == Simd::Avx512 {
            agrees_with_loops(&x86::avx512::f32_kernel());
            agrees_with_loops(&x86::avx512::f64_kernel());
        }
    }
    #[cfg(target_arch = "aarch64")]
    {
        assert_eq!(Simd::detect(), Simd::Neon, "every target with a standard library has it");
        agrees_with_loops(&neon::f32_kernel());
        agrees_with_loops(&neon::f64_kernel());
    }
}

#[test]
#[should_panic(expected = "out of the operand")]
fn offsets_beyond_the_operand_are_caught() {
    let kernel = f32_kernel();
    let b = vec![0.0; kernel.lanes];
    let mut c = vec![0.0; kernel.lanes];
    let product =
        Product { a: &[0.0; 8], rows: &[4], steps: &[4], b: &b, vectors: 1, c_stride: 0, accumulate: false };
    kernel.multiply(&product, &mut c);
}

#[test]
fn panels_are_few_and_of_equal_width() {
    let kernel = f32_kernel();
    let most = kernel.tiles.len() * kernel.lanes;
    assert_eq!(kernel.panels(1), (1, 1));
    assert_eq!(kernel.panels(most), (kernel.tiles.len(), 1));
    let (vectors, panels) = kernel.panels(most + 1);
    assert!(panels == 2 && vectors * panels * kernel.lanes > most);
}
