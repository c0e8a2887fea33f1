//! The allocator of the programs: jemalloc, told to keep its pages and to take them in large ones.
//!
//! A training step allocates the same large buffers again and again. Fresh memory from the system costs more than the arithmetic
//! that fills it, so nothing is given back: what a run needed once, it will need in the next step.

#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc when the program starts: no decay of free pages, none given back at once for being large, huge pages; and small
/// requests take a part of any free block, however large. By default they take none of blocks over 64 times their size: with pages that are
/// never given back, free blocks grow together until little is small enough, and a run takes new memory at every step.
#[cfg(not(target_env = "msvc"))]
// SAFETY: jemalloc reads this symbol as a pointer to a string that ends in zero; a reference to an array is such a pointer, unlike
// one to a slice, whose layout is not fixed. The prefix in the name is that of jemalloc's build alone.
#[unsafe(export_name = "_rjem_malloc_conf")]
static OPTIONS: &[u8; 96] =
    b"dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,lg_extent_max_active_fit:40,thp:always\0";

#[cfg(all(test, target_os = "linux"))]
mod tests {
    /// Bytes of this process in memory.
    fn resident() -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        4096 * pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    }

    /// One large block and many small ones in turns, as a training step has them.
    #[test]
    fn small_blocks_take_the_memory_of_large_ones() {
        let block = |bytes: usize| std::hint::black_box(vec![1u8; bytes]);
        let round = || {
            drop(block(64 << 20));
            drop((0..500).map(|_| block(40 << 10)).collect::<Vec<_>>());
        };
        round();
        let before = resident();
        (0..20).for_each(|_| round());
        let after = resident();
        // Each round would take another 20 MB.
        assert!(after < before + (100 << 20), "{before} {after}");
    }
}
