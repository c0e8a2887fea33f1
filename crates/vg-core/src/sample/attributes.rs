//! Label groups that a request may set, and changes of class within a clip.

use super::{Controls, SampleRequest, SampleSpec, one_a_clip};
use crate::{Error, Result};

/// A label group that a model was trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Name of the group, such as `class` or `identity`.
    pub name: String,
    /// Number of its classes.
    pub classes: usize,
}

/// A change of class in the middle of all clips.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSwitch {
    /// First frame of the new class, from 1.
    pub frame: usize,
    /// Label group that changes; the model's first one when absent.
    pub attribute: Option<String>,
    /// The new class.
    pub class: usize,
}

impl ClassSwitch {
    /// Another class of the first label group from `frame` on.
    pub fn new(frame: usize, class: usize) -> Self {
        Self { frame, attribute: None, class }
    }

    /// Another class of a label group from `frame` on.
    pub fn of(attribute: &str, frame: usize, class: usize) -> Self {
        Self { frame, attribute: Some(attribute.to_owned()), class }
    }
}

impl SampleRequest {
    /// The classes asked for: an entry a clip, in it one for each of `attributes`, `None` where the choice is the model's. The class of the
    /// request is that of the first group.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a class that there is not, for neither one nor as many as clips, and for the first group set twice;
    /// [`Error::Unknown`] for a group that the model does not have.
    pub fn attributes_for(
        &self,
        spec: &SampleSpec,
        attributes: &[Attribute],
    ) -> Result<Vec<Vec<Option<usize>>>> {
        let mut wanted = vec![vec![None; attributes.len()]; self.seeds.len()];
        for (clip, class) in wanted.iter_mut().zip(self.classes_for(spec)?) {
            if let Some(first) = clip.first_mut() {
                *first = class;
            }
        }
        for (name, classes) in &self.attributes {
            let place = position(name, attributes)?;
            if place == 0 && (self.class.is_some() || !self.classes.is_empty()) {
                let problem = format!("{name:?} is what the class of a request sets; give one of both");
                return Err(Error::Unsupported(problem));
            }
            if classes.len() != 1 {
                one_a_clip(&format!("classes of {name:?}"), classes.len(), self.seeds.len())?;
            }
            classes.iter().try_for_each(|class| check_class(*class, &attributes[place]))?;
            for (k, clip) in wanted.iter_mut().enumerate() {
                clip[place] = Some(classes[if classes.len() == 1 { 0 } else { k }]);
            }
        }
        Ok(wanted)
    }

    /// For each switch, which of `attributes` changes, at which frame and to what, in the order of frames.
    ///
    /// To be called after [`SampleRequest::check_with`].
    ///
    /// # Errors
    /// [`Error::Unknown`] for a group that the model does not have.
    pub fn switches_of(&self, attributes: &[Attribute]) -> Result<Vec<(usize, usize, usize)>> {
        let of = |switch: &ClassSwitch| {
            let place = switch.attribute.as_ref().map_or(Ok(0), |name| position(name, attributes))?;
            Ok((switch.frame, place, switch.class))
        };
        let mut switches = self.switches.iter().map(of).collect::<Result<Vec<_>>>()?;
        switches.sort_unstable();
        Ok(switches)
    }

    pub(super) fn check_switches(
        &self,
        spec: &SampleSpec,
        controls: Controls,
        attributes: &[Attribute],
        frames: usize,
    ) -> Result<()> {
        for (k, switch) in self.switches.iter().enumerate() {
            if !controls.switch {
                return Err(Error::Unsupported("this model cannot change the class within a clip".into()));
            }
            if switch.frame == 0 || switch.frame >= frames {
                return Err(Error::Unsupported(format!(
                    "the class cannot change at frame {}; a clip of {frames} frames can change at frames 1 to {}",
                    switch.frame,
                    frames - 1
                )));
            }
            let place = match &switch.attribute {
                None => {
                    Self { class: Some(switch.class), ..Self::default() }.class_for(spec)?;
                    0
                }
                Some(name) => {
                    let place = position(name, attributes)?;
                    check_class(switch.class, &attributes[place])?;
                    place
                }
            };
            let same = |other: &ClassSwitch| {
                let found = other.attribute.as_ref().map_or(Ok(0), |name| position(name, attributes));
                other.frame == switch.frame && found.is_ok_and(|found| found == place)
            };
            if self.switches[..k].iter().any(same) {
                let problem =
                    format!("two changes at frame {} of the same class; leave one out", switch.frame);
                return Err(Error::Unsupported(problem));
            }
        }
        Ok(())
    }
}

fn check_class(class: usize, attribute: &Attribute) -> Result<()> {
    let Attribute { name, classes } = attribute;
    if class < *classes {
        return Ok(());
    }
    let last = classes.saturating_sub(1);
    Err(Error::Unsupported(format!("there is no class {class} of {name:?}; this model has 0 to {last}")))
}

fn position(name: &str, attributes: &[Attribute]) -> Result<usize> {
    if attributes.is_empty() {
        let problem = format!("this model has no attributes by name; leave {name:?} out");
        return Err(Error::Unsupported(problem));
    }
    let known = attributes.iter().map(|a| a.name.as_str());
    let found = attributes.iter().position(|a| a.name == name);
    found.ok_or_else(|| Error::unknown("attribute of this model", name, known))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::tests::{ALL, spec};
    use super::*;

    fn attributes() -> Vec<Attribute> {
        let of = |name: &str, classes| Attribute { name: name.to_owned(), classes };
        vec![of("class", 3), of("identity", 2)]
    }

    fn request(named: &[(&str, &[usize])]) -> SampleRequest {
        let attributes: BTreeMap<_, _> = named.iter().map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect();
        SampleRequest { attributes, ..SampleRequest::seeds([1, 2]) }
    }

    #[test]
    fn classes_are_of_the_first_group_and_names_of_any() {
        let of = |request: SampleRequest| request.attributes_for(&spec(3), &attributes()).unwrap();
        assert_eq!(of(request(&[])), [[None, None], [None, None]]);
        let both = SampleRequest { class: Some(2), ..request(&[("identity", &[1])]) };
        assert_eq!(of(both), [[Some(2), Some(1)], [Some(2), Some(1)]]);
        let each = SampleRequest { classes: vec![0, 2], ..request(&[("identity", &[1, 0])]) };
        assert_eq!(of(each), [[Some(0), Some(1)], [Some(2), Some(0)]]);
        assert_eq!(of(request(&[("class", &[1])])), [[Some(1), None], [Some(1), None]]);
    }

    #[test]
    fn attributes_that_cannot_be_set_are_named() {
        let cases = [
            (request(&[("identitty", &[0])]), "did you mean \"identity\""),
            (request(&[("identity", &[2])]), "no class 2 of \"identity\"; this model has 0 to 1"),
            (request(&[("identity", &[0, 1, 0])]), "3 classes of \"identity\" for 2 clips"),
            (SampleRequest { class: Some(0), ..request(&[("class", &[1])]) }, "give one of both"),
        ];
        for (request, part) in cases {
            let error = request.check_with(&spec(3), ALL, &attributes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
        let error = request(&[("identity", &[0])]).check(&spec(3), ALL).unwrap_err().to_string();
        assert!(error.contains("no attributes by name"), "{error}");
    }

    #[test]
    fn switches_are_checked_and_put_in_order() {
        let with = |switches: &[ClassSwitch]| SampleRequest {
            switches: switches.to_vec(),
            ..SampleRequest::seeds([1])
        };
        let good = with(&[ClassSwitch::new(3, 0), ClassSwitch::of("identity", 2, 1), ClassSwitch::new(1, 2)]);
        good.check_with(&spec(3), ALL, &attributes()).unwrap();
        assert_eq!(good.switches_of(&attributes()).unwrap(), [(1, 0, 2), (2, 1, 1), (3, 0, 0)]);
        let cases = [
            (with(&[ClassSwitch::of("identity", 1, 2)]), "no class 2 of \"identity\""),
            (with(&[ClassSwitch::of("pose", 1, 0)]), "there is no attribute of this model \"pose\""),
            (with(&[ClassSwitch::new(1, 0), ClassSwitch::of("class", 1, 2)]), "two changes at frame 1"),
            (with(&[ClassSwitch::new(4, 0)]), "frames 1 to 3"),
        ];
        for (request, part) in cases {
            let error = request.check_with(&spec(3), ALL, &attributes()).unwrap_err().to_string();
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }
}
