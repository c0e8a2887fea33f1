//! Numbers over steps, made ready to draw.

use vg_core::train::StatsLine;

/// Points that a drawn line has at most; a chart is not wider in pixels.
const POINTS: usize = 500;

/// One number over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name as logged.
    pub name: String,
    /// Step and value.
    pub points: Vec<(f64, f64)>,
}

/// All numbers of a run in the order of their names.
pub fn all(stats: &[StatsLine]) -> Vec<Series> {
    let mut names: Vec<&String> = stats.iter().flat_map(|l| l.scalars.keys()).collect();
    names.sort();
    names.dedup();
    let points = |name: &String| {
        stats.iter().filter_map(|l| Some((l.step as f64, *l.scalars.get(name)?))).collect::<Vec<_>>()
    };
    names.into_iter().map(|name| Series { name: name.clone(), points: points(name) }).collect()
}

impl Series {
    /// A moving average that looks both ways, over about a thirtieth of the run.
    pub fn smoothed(&self) -> Vec<(f64, f64)> {
        let n = self.points.len();
        let half = n / 60;
        let mut sums = vec![0.0];
        for (_, y) in &self.points {
            sums.push(sums[sums.len() - 1] + y);
        }
        let mean = |i: usize| {
            let half = half.min(i).min(n - 1 - i);
            (sums[i + half + 1] - sums[i - half]) / (2 * half + 1) as f64
        };
        self.points.iter().enumerate().map(|(i, (x, _))| (*x, mean(i))).collect()
    }

    /// Lowest and highest value, without the outermost half percent of a long series, so that one spike does not flatten the rest.
    pub fn range(&self) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self.points.iter().map(|p| p.1).collect();
        values.sort_by(f64::total_cmp);
        let cut = values.len() / 200;
        Some((*values.get(cut)?, *values.get(values.len() - 1 - cut)?))
    }
}

/// The line with fewer points: lowest and highest of each stretch are kept, so that spikes stay visible.
pub fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(POINTS / 2);
    points
        .chunks(stretch)
        .flat_map(|chunk| {
            let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let mut ends: Vec<(f64, f64)> = [chunk.iter().min_by(by_value), chunk.iter().max_by(by_value)]
                .into_iter()
                .flatten()
                .copied()
                .collect();
            ends.sort_by(|a, b| a.0.total_cmp(&b.0));
            ends
        })
        .collect()
}

/// The middle of some numbers, 0 for none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(n: usize) -> Series {
        Series { name: "x".into(), points: (0..n).map(|i| (i as f64, i as f64)).collect() }
    }

    #[test]
    fn a_ramp_stays_a_ramp_when_smoothed() {
        for n in [1, 2, 59, 60, 1000] {
            assert_eq!(ramp(n).smoothed(), ramp(n).points);
        }
        assert!(Series { name: String::new(), points: Vec::new() }.smoothed().is_empty());
    }

    #[test]
    fn one_spike_of_many_is_out_of_range_but_still_drawn() {
        let mut series = ramp(1000);
        series.points[500].1 = 1e9;
        assert!(series.range().unwrap().1 < 1000.0);
        let thinned = thin(&series.points);
        assert!(thinned.len() <= POINTS && thinned.contains(&(500.0, 1e9)));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
