//! From a plan to tensors.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use vg_core::batch::CLIP_NUMBER;
use vg_core::{Batch, BatchSpec, Error, Result};

use super::plan::{Draw, Plan};
use crate::{
    frames::{decode_table, scatter_planes},
    maps::{Map, Values, kinds},
};

/// The batch at `position`, in f32 on the CPU.
pub(super) fn batch(plan: &Plan, spec: &BatchSpec, position: u64) -> Result<Batch> {
    check(plan, spec)?;
    let draws = plan.clips(spec, position)?;
    let clips = Tensor::from_vec(values(plan, spec, &draws)?, &spec.clip.dims(draws.len()), &Device::Cpu)?;
    let images = (spec.images > 0)
        .then(|| {
            let draws = plan.images(spec, position);
            let dims = spec.clip.image_dims(draws.len());
            Tensor::from_vec(values(plan, spec, &draws)?, &dims, &Device::Cpu).map_err(Error::from)
        })
        .transpose()?;
    let labels: Result<BTreeMap<_, _>> =
        spec.labels.iter().map(|group| Ok((group.clone(), labels(plan, group, &draws)?))).collect();
    Ok(Batch { clips, images, labels: labels?, maps: maps(plan, spec, &draws)? })
}

/// The maps asked for by name, over the frames of all draws.
fn maps(plan: &Plan, spec: &BatchSpec, draws: &[Draw]) -> Result<BTreeMap<String, Tensor>> {
    if spec.maps.is_empty() {
        return Ok(BTreeMap::new());
    }
    let dataset = plan.dataset();
    let kinds = kinds(&plan.info().name, &spec.maps, spec.clip.frames, |kind| dataset.has_map(kind))?;
    let read = |draw: &Draw| {
        let maps = dataset.read_maps(draw.clip, &draw.picks, spec.clip.into(), &kinds)?;
        let pairs = maps.into_iter().zip(&kinds);
        Ok::<Vec<Map>, Error>(
            pairs.map(|(map, kind)| if draw.mirror { map.mirrored(*kind) } else { map }).collect(),
        )
    };
    let by_draw: Vec<Vec<Map>> = draws.par_iter().map(read).collect::<Result<_>>()?;
    let stacked = |(place, name): (usize, &String)| {
        let maps: Vec<&Map> = by_draw.iter().filter_map(|maps| maps.get(place)).collect();
        Ok((name.clone(), stack(&maps)?))
    };
    spec.maps.iter().enumerate().map(stacked).collect()
}

/// `[B, C, T, H, W]`.
fn stack(maps: &[&Map]) -> Result<Tensor> {
    let each = maps.iter().map(|map| {
        let dims = (1, map.channels, map.frames, map.height, map.width);
        match &map.values {
            Values::Ids(ids) => Tensor::from_slice(ids, dims, &Device::Cpu),
            Values::Floats(floats) => Tensor::from_slice(floats, dims, &Device::Cpu),
        }
    });
    Ok(Tensor::cat(&each.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
}

/// Pixels of all draws, each `[C, T, H, W]`.
fn values(plan: &Plan, spec: &BatchSpec, draws: &[Draw]) -> Result<Vec<f32>> {
    let size = spec.clip.into();
    let table = decode_table(spec.pixels);
    let picked = draws.first().map_or(0, |draw| draw.picks.len());
    let per_clip = picked * crate::FrameSize::from(spec.clip).bytes();
    let mut values = vec![0.0; draws.len() * per_clip];
    values.par_chunks_exact_mut(per_clip).zip(draws).try_for_each(|(out, draw)| {
        let frames = plan.dataset().read(draw.clip, &draw.picks, size)?;
        scatter_planes(&frames, &table, draw.mirror, out);
        Ok::<(), Error>(())
    })?;
    Ok(values)
}

fn labels(plan: &Plan, group: &str, draws: &[Draw]) -> Result<Tensor> {
    let info = plan.info();
    if group == CLIP_NUMBER {
        let numbers: Vec<u32> = draws.iter().map(|draw| draw.clip as u32).collect();
        return Ok(Tensor::from_vec(numbers, draws.len(), &Device::Cpu)?);
    }
    let label = |draw: &Draw| {
        plan.dataset().label(draw.clip, group).ok_or_else(|| {
            let groups: Vec<&str> = info.classes.keys().map(String::as_str).collect();
            let known = if groups.is_empty() { "no labels at all".to_owned() } else { groups.join(", ") };
            Error::Data(format!("{}: there are no labels {group:?}; it has {known}", info.name))
        })
    };
    let indices: Vec<u32> = draws.iter().map(label).collect::<Result<_>>()?;
    Ok(Tensor::from_vec(indices, draws.len(), &Device::Cpu)?)
}

fn check(plan: &Plan, spec: &BatchSpec) -> Result<()> {
    let name = &plan.info().name;
    let clip = spec.clip;
    if spec.clips == 0 || clip.frames == 0 || clip.height == 0 || clip.width == 0 || spec.frame_stride == 0 {
        return Err(Error::Data(format!(
            "{name}: a batch needs at least one clip, frame, row and column and a frame stride of at least 1; asked for {} clips of {clip}, stride {}",
            spec.clips, spec.frame_stride
        )));
    }
    if clip.channels != 1 && clip.channels != 3 {
        return Err(Error::Data(format!(
            "{name}: clips have 1 (grey) or 3 (RGB) channels, not {}",
            clip.channels
        )));
    }
    Ok(())
}
