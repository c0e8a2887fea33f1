//! Small transpositions, between the layout of tensors (a channel's positions side by side) and that of the kernels.

use super::super::real::Real;
use super::Simd;

/// Writes `dst[j * dst_stride + i] = src[i * src_stride + j]` for `i < rows` and `j < columns`.
///
/// # Safety
/// `src` can be read at every such element, `dst` written; they do not overlap.
pub(crate) unsafe fn transpose<T: Real>(
    simd: Simd,
    src: *const T,
    src_stride: usize,
    dst: *mut T,
    dst_stride: usize,
    rows: usize,
    columns: usize,
) {
    let plain_copy = (columns == 1 && src_stride == 1) || (rows == 1 && dst_stride == 1);
    if plain_copy {
        // SAFETY: a line of elements that lie side by side in both.
        unsafe { std::ptr::copy_nonoverlapping(src, dst, rows * columns) };
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if simd == Simd::Avx512 && size_of::<T>() == 4 {
        for i in (0..rows).step_by(16) {
            for j in (0..columns).step_by(16) {
                // SAFETY: the block lies inside the matrices that the caller vouches for; elements of 4 bytes are moved as they
                // are; `Simd::Avx512` is only made on CPUs that have it.
                unsafe {
                    let from = src.add(i * src_stride + j).cast();
                    let to = dst.add(j * dst_stride + i).cast();
                    x86::block(from, src_stride, to, dst_stride, (rows - i).min(16), (columns - j).min(16));
                }
            }
        }
        return;
    }
    #[cfg(target_arch = "aarch64")]
    if simd == Simd::Neon && size_of::<T>() == 4 {
        let (whole_rows, whole_columns) = (rows / 4 * 4, columns / 4 * 4);
        for i in (0..whole_rows).step_by(4) {
            for j in (0..whole_columns).step_by(4) {
                // SAFETY: `i + 4 <= rows` and `j + 4 <= columns`: the block lies inside the matrices that the caller vouches for.
                // Elements of 4 bytes are moved as they are; `Simd::Neon` is only made on CPUs that have it.
                unsafe {
                    let from = src.add(i * src_stride + j).cast();
                    neon::block(from, src_stride, dst.add(j * dst_stride + i).cast(), dst_stride);
                }
            }
        }
        if whole_columns < columns {
            // SAFETY: the columns right of the blocks are a part of the caller's matrices that is not empty.
            unsafe {
                let (right, below) = (src.add(whole_columns), dst.add(whole_columns * dst_stride));
                plain(right, src_stride, below, dst_stride, whole_rows, columns - whole_columns);
            }
        }
        if whole_rows < rows {
            // SAFETY: the rows below the blocks likewise.
            unsafe {
                let (below, right) = (src.add(whole_rows * src_stride), dst.add(whole_rows));
                plain(below, src_stride, right, dst_stride, rows - whole_rows, columns);
            }
        }
        return;
    }
    let _ = simd;
    // SAFETY: as promised by the caller.
    unsafe { plain(src, src_stride, dst, dst_stride, rows, columns) };
}

/// As [`transpose`], element by element.
///
/// # Safety
/// As for [`transpose`].
unsafe fn plain<T: Real>(
    src: *const T,
    src_stride: usize,
    dst: *mut T,
    dst_stride: usize,
    rows: usize,
    columns: usize,
) {
    for i in (0..rows).step_by(8) {
        for j in 0..columns {
            for i in i..(i + 8).min(rows) {
                // SAFETY: `i < rows` and `j < columns`: the element is one that the caller vouches for.
                unsafe { *dst.add(j * dst_stride + i) = *src.add(i * src_stride + j) };
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    /// Transposes a block of 4 x 4.
    ///
    /// # Safety
    /// As for [`super::transpose`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn block(src: *const f32, src_stride: usize, dst: *mut f32, dst_stride: usize) {
        // SAFETY: four rows of four elements, which the caller vouches for.
        let r: [float32x4_t; 4] = std::array::from_fn(|i| unsafe { vld1q_f32(src.add(i * src_stride)) });
        // Pairs of rows: columns 0 and 2, then 1 and 3.
        let (a, b) = (vtrn1q_f32(r[0], r[1]), vtrn2q_f32(r[0], r[1]));
        let (c, d) = (vtrn1q_f32(r[2], r[3]), vtrn2q_f32(r[2], r[3]));
        let columns = [low(a, c), low(b, d), high(a, c), high(b, d)];
        for (j, column) in columns.into_iter().enumerate() {
            // SAFETY: four columns of four elements, which the caller vouches for.
            unsafe { vst1q_f32(dst.add(j * dst_stride), column) };
        }
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn low(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vcombine_f32(vget_low_f32(a), vget_low_f32(b))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn high(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        vcombine_f32(vget_high_f32(a), vget_high_f32(b))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    /// Transposes a block of at most 16 x 16.
    ///
    /// # Safety
    /// As for [`super::transpose`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn block(
        src: *const f32,
        src_stride: usize,
        dst: *mut f32,
        dst_stride: usize,
        rows: usize,
        columns: usize,
    ) {
        let across = mask(columns);
        let mut r = [_mm512_setzero_ps(); 16];
        for (i, row) in r.iter_mut().enumerate().take(rows) {
            // SAFETY: only the elements under the mask are read; the caller vouches for them.
            *row = unsafe { _mm512_maskz_loadu_ps(across, src.add(i * src_stride)) };
        }
        let mut t = r;
        for i in (0..16).step_by(2) {
            t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
            t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
        }
        for i in (0..16).step_by(4) {
            r[i] = low(t[i], t[i + 2]);
            r[i + 1] = high(t[i], t[i + 2]);
            r[i + 2] = low(t[i + 1], t[i + 3]);
            r[i + 3] = high(t[i + 1], t[i + 3]);
        }
        // r[4q + c] now holds, in its quarter l, column 4l + c of rows 4q to 4q + 3.
        for c in 0..4 {
            let a = _mm512_shuffle_f32x4::<0x44>(r[c], r[4 + c]);
            let b = _mm512_shuffle_f32x4::<0xee>(r[c], r[4 + c]);
            let d = _mm512_shuffle_f32x4::<0x44>(r[8 + c], r[12 + c]);
            let e = _mm512_shuffle_f32x4::<0xee>(r[8 + c], r[12 + c]);
            t[c] = _mm512_shuffle_f32x4::<0x88>(a, d);
            t[4 + c] = _mm512_shuffle_f32x4::<0xdd>(a, d);
            t[8 + c] = _mm512_shuffle_f32x4::<0x88>(b, e);
            t[12 + c] = _mm512_shuffle_f32x4::<0xdd>(b, e);
        }
        let down = mask(rows);
        for (j, column) in t.iter().enumerate().take(columns) {
            // SAFETY: only the elements under the mask are written; the caller vouches for them.
            unsafe { _mm512_mask_storeu_ps(dst.add(j * dst_stride), down, *column) };
        }
    }

    fn mask(n: usize) -> __mmask16 {
        ((1u32 << n) - 1) as __mmask16
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn low(a: __m512, b: __m512) -> __m512 {
        _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn high(a: __m512, b: __m512) -> __m512 {
        _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees<T: Real>(simd: Simd) {
        let padded =
            [(1, 1), (16, 16), (5, 19), (33, 7), (16, 48), (0, 3)].map(|(r, c)| (r, c, c + 3, r + 2));
        for (rows, columns, src_stride, dst_stride) in
            padded.into_iter().chain([(1, 9, 12, 1), (9, 1, 1, 11)])
        {
            let src: Vec<T> = (0..rows * src_stride).map(|i| T::of(i as f64)).collect();
            let mut dst = vec![T::of(-1.0); columns * dst_stride];
            // SAFETY: the buffers hold the elements named by these strides and sizes.
            unsafe {
                transpose(simd, src.as_ptr(), src_stride, dst.as_mut_ptr(), dst_stride, rows, columns);
            }
            for (k, got) in dst.iter().enumerate() {
                let (j, i) = (k / dst_stride, k % dst_stride);
                let want = if i < rows { (i * src_stride + j) as f64 } else { -1.0 };
                assert_eq!(got.to_f64(), want, "({i}, {j}) of {rows} x {columns}");
            }
        }
    }

    #[test]
    fn blocks_of_all_sizes_are_transposed() {
        for simd in [Simd::Baseline, Simd::detect()] {
            agrees::<f32>(simd);
            agrees::<f64>(simd);
        }
    }
}
