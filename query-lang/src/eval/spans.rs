//! Where the windows of all steps lie in a series. Series that are scraped together have their samples at the same times;
//! so places are found for the first of them, and the others only compare their times.

use super::column::ABSENT;

/// Windows that follow each other, each one sample behind the one before. All of them hold as many samples, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first step.
    pub step: usize,
    /// How many steps.
    pub many: usize,
    /// The samples of the first step's window.
    pub from: usize,
    pub to: usize,
}

impl Run {
    /// How many samples each window holds.
    pub fn samples(&self) -> usize {
        self.to - self.from
    }

    /// Of each window the value so many behind its first one; `values` are those of all samples.
    pub fn at_first<'v>(&self, values: &'v [f64], behind: usize) -> &'v [f64] {
        &values[self.from + behind..][..self.many]
    }

    /// Of each window the value so many before its end, at least 1.
    pub fn at_end<'v>(&self, values: &'v [f64], before: usize) -> &'v [f64] {
        &values[self.to - before..][..self.many]
    }

    /// It in parts of so many steps, at least 1.
    pub fn parts(&self, steps: usize) -> impl Iterator<Item = Run> + use<> {
        let Run { step, many, from, to } = *self;
        (0..many).step_by(steps).map(move |at| Run {
            step: step + at,
            many: steps.min(many - at),
            from: from + at,
            to: to + at,
        })
    }

    /// The step and the samples' places of each window.
    pub fn windows(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + use<> {
        let Run { step, many, from, to } = *self;
        (0..many).map(move |at| (step + at, from + at..to + at))
    }
}

/// The windows of all steps in the series that was looked at last.
#[derive(Debug, Default)]
pub(crate) struct Spans {
    times: Vec<i64>,
    runs: Vec<Run>,
    steps: usize,
    is_known: bool,
}

impl Spans {
    /// Finds the windows `(start, end]` of the steps among times; neither end may go back from step to step. Says false if
    /// they are where they were in the series before.
    pub fn find(&mut self, times: &[i64], steps: usize, bounds: impl Fn(usize) -> (i64, i64)) -> bool {
        if self.is_known && self.steps == steps && self.times == times {
            return false;
        }
        (self.is_known, self.steps) = (true, steps);
        self.times.clear();
        self.times.extend_from_slice(times);
        self.runs.clear();
        let (mut from, mut to) = (0, 0);
        for step in 0..steps {
            let (start, end) = bounds(step);
            while times.get(to).is_some_and(|time| *time <= end) {
                to += 1;
            }
            while from < to && times[from] <= start {
                from += 1;
            }
            match self.runs.last_mut() {
                Some(run) if run.step + run.many == step && (run.from + run.many, run.to + run.many) == (from, to) => {
                    run.many += 1;
                }
                _ if from < to => self.runs.push(Run { step, many: 1, from, to }),
                _ => {}
            }
        }
        true
    }

    /// Those that hold samples, in the order of steps.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Replaces `out` by a value for each step, none yet.
    pub fn clear(&self, out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.steps, ABSENT);
    }

    /// Whether each step's window holds so many samples, at least 1.
    pub fn all_hold(&self, samples: usize) -> bool {
        let many = self.runs.iter().filter(|run| run.samples() >= samples).map(|run| run.many);
        many.sum::<usize>() == self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_found_and_found_again() {
        let mut spans = Spans::default();
        let times = [10, 20, 30, 40, 50, 90];
        let bounds = |step: usize| (5 + 10 * step as i64, 25 + 10 * step as i64);
        assert!(spans.find(&times, 9, bounds));
        let found: Vec<_> = spans.runs().iter().flat_map(Run::windows).collect();
        let wanted = [(0, 0..2), (1, 1..3), (2, 2..4), (3, 3..5), (4, 4..5), (7, 5..6), (8, 5..6)];
        assert_eq!(found, wanted);
        assert_eq!(spans.runs()[0], Run { step: 0, many: 4, from: 0, to: 2 });
        assert!(!spans.all_hold(1) && !spans.find(&times, 9, bounds));
        assert!(spans.find(&times[1..], 4, bounds) && spans.all_hold(1) && !spans.all_hold(2));
        assert_eq!(spans.runs()[0].at_first(&[2.0, 3.0, 4.0, 5.0, 9.0], 0), [2.0]);
    }
}
