//! Combinations of labels as classes of the model.

use std::collections::BTreeMap;

use vg_core::sample::Attribute;
use vg_core::{Batch, ClassCount, Error, Result};

use crate::config::{Classes, Config};

impl Classes {
    /// The class of one label of each group: the last group's counts fastest.
    pub(crate) fn joint(&self, labels: impl IntoIterator<Item = usize>) -> usize {
        labels.into_iter().zip(&self.counts).fold(0, |class, (label, count)| class * count + label)
    }

    /// The classes of a batch's clips, 0 without groups.
    ///
    /// # Errors
    /// [`Error::Data`] when labels are missing or beyond the counts.
    pub(crate) fn of_batch(&self, batch: &Batch, clips: usize) -> Result<Vec<usize>> {
        let group = |(name, count): (&String, &usize)| {
            let labels = batch.label(name)?.to_vec1::<u32>()?;
            match labels.iter().find(|label| **label as usize >= *count) {
                Some(label) => Err(Error::Data(format!(
                    "label {label} of {name:?} is not below {count}, the model's number of classes (`classes.counts`)"
                ))),
                None if labels.len() == clips => Ok(labels),
                None => Err(Error::Data(format!("{} labels of {name:?} for {clips} clips", labels.len()))),
            }
        };
        let groups = self.groups.iter().zip(&self.counts).map(group).collect::<Result<Vec<_>>>()?;
        Ok((0..clips).map(|clip| self.joint(groups.iter().map(|labels| labels[clip] as usize))).collect())
    }

    /// What data must have, by group.
    pub(crate) fn wanted(&self) -> BTreeMap<String, ClassCount> {
        let of = |(place, (name, count)): (usize, (&String, &usize))| {
            let all = self.counts.iter().enumerate();
            let all = all.map(|(k, n)| if k == place { "{}".to_owned() } else { n.to_string() });
            let key = format!("classes.counts=[{}]", all.collect::<Vec<_>>().join(","));
            (name.clone(), ClassCount { count: *count, key })
        };
        self.groups.iter().zip(&self.counts).enumerate().map(of).collect()
    }
}

impl Config {
    /// The label groups by name.
    pub(crate) fn groups(&self) -> Vec<Attribute> {
        let groups = self.classes.groups.iter().zip(&self.classes.counts);
        groups.map(|(name, classes)| Attribute { name: name.clone(), classes: *classes }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    fn classes() -> Classes {
        Classes { groups: vec!["motion".into(), "colour".into()], counts: vec![2, 3] }
    }

    #[test]
    fn every_combination_is_a_class() {
        let all: Vec<usize> = (0..2).flat_map(|a| (0..3).map(move |b| classes().joint([a, b]))).collect();
        assert_eq!(all, (0..6).collect::<Vec<_>>());
        let none = Classes { groups: Vec::new(), counts: Vec::new() };
        assert_eq!(none.joint([]), 0);
    }

    #[test]
    fn labels_of_a_batch_are_combined_and_checked() {
        let tensor = |labels: &[u32]| Tensor::new(labels, &Device::Cpu).unwrap();
        let mut batch = Batch::of_clips(tensor(&[0]));
        batch.labels.insert("motion".into(), tensor(&[1, 0]));
        assert!(classes().of_batch(&batch, 2).unwrap_err().to_string().contains("colour"));
        batch.labels.insert("colour".into(), tensor(&[2, 1]));
        assert_eq!(classes().of_batch(&batch, 2).unwrap(), [5, 1]);
        assert!(classes().of_batch(&batch, 3).unwrap_err().to_string().contains("2 labels"));
        batch.labels.insert("colour".into(), tensor(&[2, 3]));
        assert!(classes().of_batch(&batch, 2).unwrap_err().to_string().contains("not below 3"));
    }

    #[test]
    fn other_counts_are_told_how_to_set() {
        let wanted = classes().wanted();
        assert_eq!(wanted["colour"].key, "classes.counts=[2,{}]");
        assert_eq!(wanted["motion"].count, 2);
    }
}
