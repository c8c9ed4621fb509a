//! Progress of long work on standard error: one line that changes on a terminal, a line now and
//! then elsewhere, none with `--quiet`.

use std::{
    io::{self, IsTerminal},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::cli::{Context, context::write_stderr_part};

/// How often a line on a terminal changes.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere; shorter work says nothing.
const ELSEWHERE: Duration = Duration::from_secs(5);

/// Progress of one piece of work.
pub struct Progress {
    /// Bytes in all, where that is known.
    pub total: Option<u64>,
    what: &'static str,
    done: Arc<AtomicU64>,
    shown: Instant,
    drawn: bool,
    terminal: bool,
    quiet: bool,
}

impl Progress {
    /// Nothing done yet; `what` is the word before the figures.
    pub fn new(what: &'static str, ctx: &Context) -> Self {
        Self {
            total: None,
            what,
            done: Arc::default(),
            shown: Instant::now(),
            drawn: false,
            terminal: io::stderr().is_terminal(),
            quiet: ctx.quiet,
        }
    }

    /// Something that others tell what is done.
    pub fn counter(&self) -> impl Fn(u64) + Send + Clone + 'static {
        let done = Arc::clone(&self.done);
        move |bytes| {
            done.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts `bytes` and shows where things stand, if it is time.
    pub fn advance(&mut self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        self.look();
    }

    fn look(&mut self) {
        let pause = if self.terminal {
            ON_TERMINAL
        } else {
            ELSEWHERE
        };
        if self.quiet || self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let text = line(self.what, self.done.load(Ordering::Relaxed), self.total);
        self.drawn = self.terminal;
        match self.terminal {
            true => write_stderr_part(&format!("\r\x1b[K{text}")),
            false => write_stderr_part(&format!("{text}\n")),
        }
    }

    /// Shows progress until `work` is done.
    pub async fn show_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(ON_TERMINAL, work.as_mut()).await {
                Ok(result) => {
                    self.end();
                    return result;
                }
                Err(_) => self.look(),
            }
        }
    }

    /// Takes the line away.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            write_stderr_part("\r\x1b[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn line(what: &str, done: u64, total: Option<u64>) -> String {
    match total.filter(|total| *total >= done && *total > 0) {
        Some(total) => {
            let percent = done.saturating_mul(100) / total;
            format!("{what} {} of {} ({percent} %)", bytes(done), bytes(total))
        }
        None => format!("{what} {}", bytes(done)),
    }
}

/// A number of bytes for a person.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if n < 1024 {
        return format!("{n} bytes");
    }
    let (mut scaled, mut unit) = (n as f64 / 1024.0, "KiB");
    for next in UNITS.into_iter().skip(1) {
        if scaled < 1024.0 {
            break;
        }
        (scaled, unit) = (scaled / 1024.0, next);
    }
    format!("{scaled:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_for_people() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 30), "3.0 GiB");
        assert_eq!(
            line("added", 512, Some(1024)),
            "added 512 bytes of 1.0 KiB (50 %)"
        );
        assert_eq!(line("added", 2048, Some(1024)), "added 2.0 KiB");
        assert_eq!(line("added", 0, Some(0)), "added 0 bytes");
    }
}
