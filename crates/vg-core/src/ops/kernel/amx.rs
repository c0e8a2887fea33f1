//! Kernels for Intel's AMX: tiles of 16 rows of 64 bytes.
//!
//! Written in assembly, because Rust's intrinsics for it are not stable. The compiler itself never touches tile registers, so that they
//! keep their contents from one block of assembly to the next.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

use super::pairs::{PairArgs, PairKernel};

pub(super) const KERNEL: PairKernel =
    PairKernel { tiles: [one_tile, two_tiles], begin: configure, end: release };

/// Whether the CPU has AMX with bf16, and the system lets this process use it.
pub(super) fn available() -> bool {
    const TILE: u32 = 1 << 24;
    const BF16: u32 = 1 << 22;
    const OSXSAVE: u32 = 1 << 27;
    /// The tile configuration and the tiles in the extended state.
    const STATE: u64 = 3 << 17;
    if __cpuid(0).eax < 7
        || __cpuid(1).ecx & OSXSAVE == 0
        || __cpuid_count(7, 0).edx & (TILE | BF16) != TILE | BF16
    {
        return false;
    }
    // SAFETY: the CPU has the instruction, as OSXSAVE says.
    #[target_feature(enable = "xsave")]
    unsafe fn state() -> u64 {
        // SAFETY: register 0 always exists.
        unsafe { _xgetbv(0) }
    }
    // SAFETY: OSXSAVE implies XSAVE.
    (unsafe { state() }) & STATE == STATE && permitted()
}

/// Asks Linux for the tiles' state, for this process and its threads; kernels before 5.16 do not know the request.
fn permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_ulong = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    // SAFETY: the call reads no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

/// The operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    column_bytes: [u16; 16],
    rows: [u8; 16],
}

/// Tiles 0 to 3 are sums, 4 and 5 tiles of A with rows of `pairs`, 6 and 7 tiles of B with `pairs` rows.
///
/// # Safety
/// The CPU has AMX and the process may use it; `pairs` is 1 to 16.
unsafe fn configure(pairs: usize) {
    let mut c =
        Configuration { palette: 1, start_row: 0, reserved: [0; 14], column_bytes: [0; 16], rows: [0; 16] };
    for tile in 0..8 {
        c.column_bytes[tile] = if matches!(tile, 4 | 5) { 4 * pairs as u16 } else { 64 };
        c.rows[tile] = if tile >= 6 { pairs as u8 } else { 16 };
    }
    // SAFETY: reads the 64 bytes of a valid configuration; the caller vouches for the CPU.
    unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const c, options(nostack, readonly)) };
}

/// # Safety
/// As for [`configure`].
unsafe fn release() {
    // SAFETY: the caller vouches for the CPU; nobody uses the tiles after this.
    unsafe { asm!("tilerelease", options(nostack, nomem)) };
}

/// One tile of rows: sums in tiles 0 and 1.
///
/// # Safety
/// See [`Tiles`](super::pairs::Tiles).
unsafe fn one_tile(p: &PairArgs) {
    let (rows, right) = (4 * p.c_stride, p.c.wrapping_add(16));
    // SAFETY: the caller vouches for every element that is named by the fields of `PairArgs`; the instructions read and write nothing
    // else, and tiles only.
    unsafe {
        if p.accumulate {
            asm!("tileloadd tmm0, [{c} + {s}*1]", "tileloadd tmm1, [{r} + {s}*1]",
                c = in(reg) p.c, r = in(reg) right, s = in(reg) rows, options(nostack, readonly));
        } else {
            asm!("tilezero tmm0", "tilezero tmm1", options(nostack, nomem));
        }
        asm!(
            "2:",
            "mov {offset:e}, dword ptr [{steps}]",
            "lea {offset}, [{b} + {offset}*4]",
            "tileloadd tmm6, [{offset} + {b_stride}*1]",
            "tileloadd tmm4, [{a} + {a_stride}*1]",
            "tileloadd tmm7, [{offset} + {b_stride}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "add {a}, {a_step}",
            "add {steps}, 4",
            "dec {depth}",
            "jnz 2b",
            offset = out(reg) _,
            steps = inout(reg) p.steps => _,
            depth = inout(reg) p.depth => _,
            a = inout(reg) p.a => _,
            a_step = in(reg) 4 * p.a_step,
            a_stride = in(reg) 4 * p.a_stride,
            b = in(reg) p.b,
            b_stride = in(reg) 4 * p.b_stride,
            options(nostack, readonly),
        );
        asm!("tilestored [{c} + {s}*1], tmm0", "tilestored [{r} + {s}*1], tmm1",
            c = in(reg) p.c, r = in(reg) right, s = in(reg) rows, options(nostack));
    }
}

/// Two tiles of rows: sums in tiles 0 and 1, and below them in 2 and 3.
///
/// # Safety
/// See [`Tiles`](super::pairs::Tiles).
unsafe fn two_tiles(p: &PairArgs) {
    let (rows, below) = (4 * p.c_stride, p.c.wrapping_add(16 * p.c_stride));
    // SAFETY: as in `one_tile`.
    unsafe {
        if p.accumulate {
            asm!("tileloadd tmm0, [{c} + {s}*1]", "tileloadd tmm1, [{c} + {s}*1 + 64]",
                "tileloadd tmm2, [{d} + {s}*1]", "tileloadd tmm3, [{d} + {s}*1 + 64]",
                c = in(reg) p.c, d = in(reg) below, s = in(reg) rows, options(nostack, readonly));
        } else {
            asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem));
        }
        asm!(
            "2:",
            "mov {offset:e}, dword ptr [{steps}]",
            "lea {offset}, [{b} + {offset}*4]",
            "tileloadd tmm6, [{offset} + {b_stride}*1]",
            "tileloadd tmm4, [{a} + {a_stride}*1]",
            "tileloadd tmm7, [{offset} + {b_stride}*1 + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a2} + {a_stride}*1]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {a}, {a_step}",
            "add {a2}, {a_step}",
            "add {steps}, 4",
            "dec {depth}",
            "jnz 2b",
            offset = out(reg) _,
            steps = inout(reg) p.steps => _,
            depth = inout(reg) p.depth => _,
            a = inout(reg) p.a => _,
            a2 = inout(reg) p.a.wrapping_add(p.a_tile) => _,
            a_step = in(reg) 4 * p.a_step,
            a_stride = in(reg) 4 * p.a_stride,
            b = in(reg) p.b,
            b_stride = in(reg) 4 * p.b_stride,
            options(nostack, readonly),
        );
        asm!("tilestored [{c} + {s}*1], tmm0", "tilestored [{c} + {s}*1 + 64], tmm1",
            "tilestored [{d} + {s}*1], tmm2", "tilestored [{d} + {s}*1 + 64], tmm3",
            c = in(reg) p.c, d = in(reg) below, s = in(reg) rows, options(nostack));
    }
}
