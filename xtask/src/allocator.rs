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
