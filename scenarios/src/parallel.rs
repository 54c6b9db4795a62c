//! Many tasks on several threads, their results in order: what comes out does not depend on how many threads there were.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// Works on all tasks, `jobs` at a time, and consumes the results in the order of the tasks.
pub fn in_order<T: Sync, R: Send>(
    jobs: NonZeroUsize,
    tasks: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut consume: impl FnMut(usize, R) -> io::Result<()>,
) -> io::Result<()> {
    let jobs = jobs.get().min(tasks.len()).max(1);
    let next = AtomicUsize::new(0);
    let stop = AtomicUsize::new(tasks.len());
    let (sender, receiver) = mpsc::sync_channel(jobs * 2);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, stop, work) = (sender.clone(), &next, &stop, &work);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(task) = tasks.get(place).filter(|_| place < stop.load(Ordering::Relaxed)) else { return };
                    if sender.send((place, work(task))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (place, result) in receiver {
            waiting.insert(place, result);
            while let Some(result) = waiting.remove(&due) {
                if let Err(error) = consume(due, result) {
                    stop.store(0, Ordering::Relaxed);
                    return Err(error);
                }
                due += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        for jobs in [1, 2, 7] {
            let tasks: Vec<usize> = (0..50).collect();
            let mut seen = Vec::new();
            let jobs = NonZeroUsize::new(jobs).expect("not zero");
            in_order(
                jobs,
                &tasks,
                |task| task * 2,
                |place, result| {
                    seen.push((place, result));
                    Ok(())
                },
            )
            .expect("nothing fails");
            assert_eq!(seen, (0..50).map(|task| (task, task * 2)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failing_consumer_stops_the_work() {
        let tasks: Vec<usize> = (0..1000).collect();
        let jobs = NonZeroUsize::new(2).expect("not zero");
        let error = in_order(jobs, &tasks, |task| *task, |_, _| Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(error.expect_err("it fails").kind(), io::ErrorKind::BrokenPipe);
    }
}
