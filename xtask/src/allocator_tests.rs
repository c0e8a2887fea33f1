//! Whether memory that is free is used again. Apart from the allocator, whose file a benchmark of vg-core takes in.

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
