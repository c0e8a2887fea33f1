//! Fitting: k-means, then expectation-maximisation.

use vg_core::Rng;
use vg_core::rng::Stream;

use super::{Mixture, one_hot};
use crate::config;

/// Variances are kept above this share of the variance of all codes, so that no component collapses onto one code.
const FLOOR: f64 = 1e-3;

impl Mixture {
    /// The mixture for `codes` `[N, dim]`, row by row: k-means++ and Lloyd's iterations, then EM. Fewer codes than components leave
    /// components of weight 0; no codes give [`Mixture::standard`].
    pub fn fit(codes: &[f64], dim: usize, settings: &config::Mixture) -> Self {
        let mut stream = Rng::new(settings.seed).stream("mixture");
        let rows: Vec<&[f64]> = codes.chunks_exact(dim).collect();
        let mut mixture = Self::standard(settings.components, dim);
        if rows.is_empty() {
            return mixture;
        }
        let spread: Vec<f64> =
            variance(&rows).into_iter().map(|v| (FLOOR * v).max(f64::MIN_POSITIVE)).collect();
        let mut centres = seeds(&rows, settings.components.min(rows.len()), &mut stream);
        let mut owners = nearest(&rows, &centres);
        for _ in 0..settings.kmeans_iterations {
            move_to_means(&rows, &owners, &mut centres);
            owners = nearest(&rows, &centres);
        }
        let hard: Vec<Vec<f64>> = owners.iter().map(|o| one_hot(*o, settings.components)).collect();
        mixture.maximise(&rows, &hard, &spread);
        for _ in 0..settings.em_iterations {
            let shares: Vec<Vec<f64>> = rows.iter().map(|x| mixture.shares(x).0).collect();
            mixture.maximise(&rows, &shares, &spread);
        }
        mixture
    }

    /// Weights, means and variances from the components' shares in each code.
    fn maximise(&mut self, rows: &[&[f64]], shares: &[Vec<f64>], floor: &[f64]) {
        for k in 0..self.weights.len() {
            let mass: f64 = shares.iter().map(|s| s[k]).sum();
            self.weights[k] = mass / rows.len() as f64;
            if mass <= f64::EPSILON {
                self.weights[k] = 0.0;
                continue;
            }
            let mut mean = vec![0.0; self.dim];
            for (x, s) in rows.iter().zip(shares) {
                mean.iter_mut().zip(*x).for_each(|(m, x)| *m += s[k] * x);
            }
            mean.iter_mut().for_each(|m| *m /= mass);
            let mut var = vec![0.0; self.dim];
            for (x, s) in rows.iter().zip(shares) {
                let terms = var.iter_mut().zip(*x).zip(&mean);
                terms.for_each(|((v, x), m)| *v += s[k] * (x - m) * (x - m));
            }
            let var = var.iter().zip(floor).map(|(v, floor)| (v / mass).max(*floor));
            let at = k * self.dim;
            self.vars.splice(at..at + self.dim, var);
            self.means[at..at + self.dim].copy_from_slice(&mean);
        }
        // Components that were dropped leave their mass to the others.
        let total: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|w| *w /= total);
    }
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

fn variance(rows: &[&[f64]]) -> Vec<f64> {
    let n = rows.len() as f64;
    let column = |d: usize| {
        let mean = rows.iter().map(|x| x[d]).sum::<f64>() / n;
        rows.iter().map(|x| (x[d] - mean) * (x[d] - mean)).sum::<f64>() / n
    };
    (0..rows[0].len()).map(column).collect()
}

/// k-means++: each next centre is a code drawn in proportion to its squared distance from the nearest centre.
fn seeds(rows: &[&[f64]], k: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut centres = vec![rows[stream.below(rows.len())].to_vec()];
    let mut off: Vec<f64> = rows.iter().map(|x| distance(x, &centres[0])).collect();
    while centres.len() < k {
        let mut left = stream.unit() * off.iter().sum::<f64>();
        let chosen = off.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        // All codes may lie on centres already.
        let centre = rows[chosen.unwrap_or_else(|| stream.below(rows.len()))].to_vec();
        off.iter_mut().zip(rows).for_each(|(d, x)| *d = d.min(distance(x, &centre)));
        centres.push(centre);
    }
    centres
}

/// Index of the nearest centre of each code; the first of several.
fn nearest(rows: &[&[f64]], centres: &[Vec<f64>]) -> Vec<usize> {
    let owner = |x: &&[f64]| {
        let off = centres.iter().map(|c| distance(x, c)).enumerate();
        off.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k)
    };
    rows.iter().map(owner).collect()
}

/// Moves each centre to the mean of its codes; one without codes stays.
fn move_to_means(rows: &[&[f64]], owners: &[usize], centres: &mut [Vec<f64>]) {
    for (k, centre) in centres.iter_mut().enumerate() {
        let own = || rows.iter().zip(owners).filter(|(_, o)| **o == k).map(|(x, _)| *x);
        let n = own().count();
        if n > 0 {
            centre.fill(0.0);
            own().for_each(|x| centre.iter_mut().zip(x).for_each(|(c, x)| *c += x / n as f64));
        }
    }
}
