//! Files of a Hugging Face repository, through its client's cache.

use std::path::PathBuf;

use hf_hub::HFClientSync;

use crate::{Error, Result};

/// Path of a file of `owner/name` in the local cache, downloaded if needed.
pub(super) fn fetch(repository: &str, file: &str) -> Result<PathBuf> {
    let Some((owner, name)) = repository.split_once('/') else {
        return Err(Error::Data(format!("repository {repository:?}: expected owner/name")));
    };
    let failed =
        |e: hf_hub::HFError| Error::Data(format!("{repository}: {file} cannot be had from the hub: {e}"));
    let client = HFClientSync::new().map_err(failed)?;
    client.model(owner, name).download_file().filename(file).send().map_err(failed)
}
