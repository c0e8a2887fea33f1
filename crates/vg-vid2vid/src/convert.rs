//! Tensors of the official checkpoints by our names.
//!
//! An official file holds one network, `latest_net_G0.pth`; its tensors have the names of the network's layers, as ours behind the network's
//! name. What PyTorch keeps beside, counters of batches and the statistics of norms that have none in use, is left out.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// The tensors of one official file; `network` is its part of the file's name, such as `G0`, `D_T1` or `E`.
pub fn from_official(network: &str, tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let with_scale = |name: &str| {
        let layer = name.rsplit_once('.').map_or("", |(layer, _)| layer);
        tensors.contains_key(&format!("{layer}.weight"))
    };
    let kept = |name: &str| {
        let statistic = name.ends_with("running_mean") || name.ends_with("running_var");
        !name.ends_with("num_batches_tracked") && (!statistic || with_scale(name))
    };
    let named = |(name, tensor): (&String, &Tensor)| (format!("{network}.{name}"), tensor.clone());
    tensors.iter().filter(|(name, _)| kept(name)).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn layers_keep_their_names_and_counters_are_left_out() {
        let names = [
            "model_down_seg.1.weight",
            "model_down_seg.2.weight",
            "model_down_seg.2.running_mean",
            "model_down_seg.2.num_batches_tracked",
            // An instance norm has statistics without a scale.
            "model.2.running_mean",
            "model.2.running_var",
        ];
        let tensor = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let found = from_official("G0", names.iter().map(|n| ((*n).to_owned(), tensor.clone())).collect());
        let found: Vec<&String> = found.keys().collect();
        assert_eq!(
            found,
            ["G0.model_down_seg.1.weight", "G0.model_down_seg.2.running_mean", "G0.model_down_seg.2.weight"]
        );
    }
}
