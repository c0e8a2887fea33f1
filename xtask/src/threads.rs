//! The number of threads.

use crate::console;
use crate::failure::Failure;

/// Threads that the machine has for this process.
pub fn available() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Fixes the number of threads of all parallel work: `wanted`, at most those of the machine, all of them when absent.
/// Results do not depend on it.
///
/// # Errors
/// [`Failure`] for 0 threads.
pub fn fix(wanted: Option<usize>) -> Result<usize, Failure> {
    let available = available();
    let threads = match wanted {
        Some(0) => return Err(Failure::new("--threads 0: at least one thread is needed")),
        Some(n) if n > available => {
            console::warn(format!("--threads {n}: this machine has {available}, using those"));
            available
        }
        Some(n) => n,
        None => available,
    };
    tell_candle(threads);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|e| Failure::new("the threads cannot be started").because(e))?;
    Ok(threads)
}

/// Tells candle, whose element-wise operations have a pool of their own and know no other way than the environment. Its threads
/// wait for each other in loops: with more of them than cores are free, each operation takes as long as the slowest of them is kept waiting.
fn tell_candle(threads: usize) {
    for name in ["CANDLE_NUM_THREADS", "RAYON_NUM_THREADS"] {
        // SAFETY: commands fix their threads before any work starts; until then the only other thread is the one that waits for Ctrl-C,
        // which reads no environment.
        unsafe { std::env::set_var(name, threads.to_string()) };
    }
}
