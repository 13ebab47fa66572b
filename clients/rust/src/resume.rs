use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

// Seconds between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
const RESUME_MIN: f64 = 1.0;
const RESUME_MAX: f64 = 15.0;
const RESUME_GROWTH: f64 = 1.6;

/// Returns the time until a retry after the `n`th consecutive error with a retry delay. kootask may ask for a delay of 0,
/// which is obeyed once.
pub(crate) fn retry_after(delay: Duration, n: u32) -> Duration {
    if n < 2 { delay } else { delay.max(resume_after(n)) }
}

/// Returns the delay after the `n`th consecutive stream that broke or brought no message.
pub(crate) fn resume_after(n: u32) -> Duration {
    let random = RandomState::new().hash_one(()) as f64 / u64::MAX as f64; // A new seed each time: good enough for a jitter.
    backoff(n, random)
}

fn backoff(n: u32, random: f64) -> Duration {
    let seconds = (RESUME_MIN * RESUME_GROWTH.powf(f64::from(n))).min(RESUME_MAX);
    Duration::from_secs_f64(seconds * (0.8 + 0.4 * random))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_to_its_limit() {
        for (n, seconds) in [(0, 1.0), (1, 1.6), (2, 2.56), (5, 10.48576), (6, 15.0), (1_000_000, 15.0)] {
            for (random, factor) in [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)] {
                let got = backoff(n, random).as_secs_f64();
                assert!((got - seconds * factor).abs() < 1e-6, "{got} s after {n} streams");
            }
        }
    }
}
