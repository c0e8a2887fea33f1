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
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|e| Failure::new("the threads cannot be started").because(e))?;
    Ok(threads)
}
