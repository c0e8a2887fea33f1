//! Names of the official code: module paths of its Torch7 networks.
//!
//! A path is the chain of 1-based places in the `modules` tables, such as `1.1.2` for the second module of the first module of the
//! first. Layouts of weights are PyTorch's, so that nothing is transposed.

/// A network of the official code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// `*_net.t7` of `main.lua`.
    Generator,
    /// `*_netD.t7` of both scripts.
    Discriminator,
    /// `*_net.t7` of `main_conditional.lua`.
    ConditionalGenerator,
}

/// Layers of the two-stream generator: (official path, our name).
pub const GENERATOR: &[(&str, &str)] = &[
    ("1.1.2", "fg.conv1"),
    ("1.1.3", "fg.bn1"),
    ("1.1.5", "fg.conv2"),
    ("1.1.6", "fg.bn2"),
    ("1.1.8", "fg.conv3"),
    ("1.1.9", "fg.bn3"),
    ("1.1.11", "fg.conv4"),
    ("1.1.12", "fg.bn4"),
    ("1.1.14.1.1", "fg.head_video"),
    ("1.1.14.2.1", "fg.head_mask"),
    ("1.2.2", "bg.conv1"),
    ("1.2.3", "bg.bn1"),
    ("1.2.5", "bg.conv2"),
    ("1.2.6", "bg.bn2"),
    ("1.2.8", "bg.conv3"),
    ("1.2.9", "bg.bn3"),
    ("1.2.11", "bg.conv4"),
    ("1.2.12", "bg.bn4"),
    ("1.2.14", "bg.conv5"),
];

/// Layers of the discriminator.
pub const DISCRIMINATOR: &[(&str, &str)] = &[
    ("1", "conv1"),
    ("3", "conv2"),
    ("4", "bn2"),
    ("6", "conv3"),
    ("7", "bn3"),
    ("9", "conv4"),
    ("10", "bn4"),
    ("12", "conv5"),
];

/// Layers of the conditional generator.
pub const CONDITIONAL_GENERATOR: &[(&str, &str)] = &[
    ("1.1", "encoder.conv1"),
    ("1.3", "encoder.conv2"),
    ("1.4", "encoder.bn2"),
    ("1.6", "encoder.conv3"),
    ("1.7", "encoder.bn3"),
    ("1.9", "encoder.conv4"),
    ("1.10", "encoder.bn4"),
    ("2.1.2", "fg.conv1"),
    ("2.1.3", "fg.bn1"),
    ("2.1.5", "fg.conv2"),
    ("2.1.6", "fg.bn2"),
    ("2.1.8", "fg.conv3"),
    ("2.1.9", "fg.bn3"),
    ("2.1.11", "fg.conv4"),
    ("2.1.12", "fg.bn4"),
    ("2.1.14.1.1", "fg.head_video"),
    ("2.1.14.2.1", "fg.head_mask"),
    ("2.2.1", "bg.conv1"),
    ("2.2.2", "bg.bn1"),
    ("2.2.4", "bg.conv2"),
    ("2.2.5", "bg.bn2"),
    ("2.2.7", "bg.conv3"),
    ("2.2.8", "bg.bn3"),
    ("2.2.10", "bg.conv4"),
];

impl Network {
    /// Its layers: (official path, our name), in the order of its modules.
    pub fn layers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Generator => GENERATOR,
            Self::Discriminator => DISCRIMINATOR,
            Self::ConditionalGenerator => CONDITIONAL_GENERATOR,
        }
    }

    /// The first part of our names of its tensors.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Generator | Self::ConditionalGenerator => "generator",
            Self::Discriminator => "discriminator",
        }
    }

    /// Our full name of a tensor, such as `generator.fg.bn1.running_mean` for the field `running_mean` of `1.1.3`; `None` for a module
    /// without parameters.
    pub fn name(self, path: &str, field: &str) -> Option<String> {
        let (_, layer) = self.layers().iter().find(|(official, _)| *official == path)?;
        Some(format!("{}.{layer}.{field}", self.prefix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_names() {
        let name = |n: Network, path| n.name(path, "weight");
        assert_eq!(name(Network::Generator, "1.1.14.2.1").unwrap(), "generator.fg.head_mask.weight");
        assert_eq!(name(Network::Discriminator, "12").unwrap(), "discriminator.conv5.weight");
        assert_eq!(name(Network::ConditionalGenerator, "1.10").unwrap(), "generator.encoder.bn4.weight");
        assert_eq!(name(Network::Discriminator, "2"), None);
    }
}
