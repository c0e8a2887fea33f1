//! What models expect: how open the future is, over time and around the turns that a data set knows of.

use std::collections::BTreeMap;

use anyhow::Result;
use candle_core::{DType, Tensor};
use serde::Serialize;
use vg_metrics::best_of::CurvePoint;

/// Frames before and behind a turn that are looked at.
const AROUND: i64 = 4;

/// A model's expectations on the true clips.
#[derive(Serialize)]
pub(super) struct Uncertainty {
    pub model: String,
    /// Entry k is of frame k + 1, counted from 0: mean over clips.
    pub frames: Vec<CurvePoint>,
    /// By the distance of the frame to a turn, from [`AROUND`] before to as many behind; mean over turns. Empty where none is known.
    pub turns: BTreeMap<i64, CurvePoint>,
}

/// The same while clips come in.
pub(super) struct Expectations {
    model: String,
    /// `[clips][frames - 1]`.
    rows: Vec<Vec<f64>>,
    around: BTreeMap<i64, Vec<f64>>,
}

impl Expectations {
    pub(super) fn new(model: &str) -> Self {
        Self { model: model.to_owned(), rows: Vec::new(), around: BTreeMap::new() }
    }

    /// Takes in what a model expects of a batch of clips, `[B, T - 1]`; `turns` are those of each clip.
    pub(super) fn push(&mut self, expected: &Tensor, turns: &[Vec<usize>]) -> Result<()> {
        let rows = expected.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for (row, turns) in rows.into_iter().zip(turns) {
            for turn in turns {
                for offset in -AROUND..=AROUND {
                    // Entry k is of frame k + 1.
                    let entry = usize::try_from(*turn as i64 + offset - 1).ok().and_then(|k| row.get(k));
                    self.around.entry(offset).or_default().extend(entry);
                }
            }
            self.rows.push(row);
        }
        Ok(())
    }

    /// The means; nothing from a model that does not tell.
    pub(super) fn finish(&self) -> Option<Uncertainty> {
        let frames = self.rows.first()?.len();
        let column = |k: usize| CurvePoint::of(self.rows.iter().map(move |row| row[k]));
        let turns =
            self.around.iter().map(|(offset, values)| (*offset, CurvePoint::of(values.iter().copied())));
        Some(Uncertainty {
            model: self.model.clone(),
            frames: (0..frames).map(column).collect(),
            turns: turns.filter(|(_, point)| point.mean.is_some()).collect(),
        })
    }
}
