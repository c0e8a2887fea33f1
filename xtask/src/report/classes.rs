//! Clips class by class: a row of clips for each, with its name beside it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use vg_core::Error;
use vg_data::Frames;

use super::page::{STYLE, escape, section};
use crate::clips;
use crate::run::write_text;

/// Version of [`INDEX`].
const FORMAT: u32 = 1;
/// Says which rows there are.
const INDEX: &str = "index.json";

/// Rows of clips in a folder: a GIF a row, and their names.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    format: u32,
    /// Step of the weights; 0 where it is not known.
    step: u64,
    /// Classes of the model, of which some have a row.
    of: usize,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    class: usize,
    name: String,
    file: String,
}

impl Rows {
    /// Writes rows of `columns` clips into `folder`; those of an earlier step are replaced.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(
        folder: &Path,
        step: u64,
        of: usize,
        names: &[(usize, String)],
        frames: &[Frames],
    ) -> vg_core::Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io("creating", folder))?;
        let columns = (frames.len() / names.len().max(1)).max(1);
        let mut rows = Vec::new();
        for (k, ((class, name), clips_of)) in names.iter().zip(frames.chunks(columns)).enumerate() {
            let file = format!("row-{k:02}.gif");
            clips::write_row(&folder.join(&file), clips_of.to_vec())?;
            rows.push(Row { class: *class, name: name.clone(), file });
        }
        let index = Self { format: FORMAT, step, of, rows };
        let text = serde_json::to_string_pretty(&index).expect("plain data with string keys") + "\n";
        write_text(&folder.join(INDEX), &text)
            .map_err(|e| Error::io("writing", folder.join(INDEX))(std::io::Error::other(e)))
    }

    /// Reads what [`Rows::write`] wrote; nothing where there is nothing, or something else.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(INDEX)).ok()?;
        serde_json::from_str(&text).ok().filter(|rows: &Self| rows.format == FORMAT && !rows.rows.is_empty())
    }

    /// Which classes have a row, in words.
    pub fn which(&self) -> String {
        let (rows, of) = (self.rows.len(), self.of);
        if rows == of {
            format!("all {of} classes")
        } else {
            format!("{rows} of {of} classes, evenly chosen")
        }
    }

    /// The rows in HTML, the GIFs in `folder` within it.
    pub fn html(&self, folder: &Path) -> String {
        let row = |row: &Row| {
            let data = STANDARD.encode(std::fs::read(folder.join(&row.file)).ok()?);
            let (name, class) = (escape(&row.name), row.class);
            Some(format!(
                "<tr><th>{name}</th><td><img src=\"data:image/gif;base64,{data}\" alt=\"clips of class {class}, {name}\"></td></tr>"
            ))
        };
        let rows: String = self.rows.iter().filter_map(row).collect();
        let title = match self.step {
            0 => "Class by class".to_owned(),
            step => format!("Class by class, step {step}"),
        };
        let body = format!("<p class=\"sub\">{}</p><table class=\"rows\">{rows}</table>", self.which());
        section(&title, &body)
    }
}

/// Writes a page of rows of clips beside `out` and returns its path.
///
/// # Errors
/// Those of the disk.
pub fn write_page(
    out: &Path,
    title: &str,
    of: usize,
    names: &[(usize, String)],
    frames: &[Frames],
) -> Result<PathBuf> {
    let folder = tempfile::tempdir()?;
    Rows::write(folder.path(), 0, of, names, frames)?;
    let rows = Rows::read(folder.path()).map(|rows| rows.html(folder.path())).unwrap_or_default();
    let title = escape(title);
    let page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\
         <body>\n<h1>{title}</h1>\n{rows}\n</body></html>\n"
    );
    let path = out.with_extension("html");
    write_text(&path, &page)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_their_names_on_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let frames: Vec<Frames> = (0..4)
            .map(|k| Frames { frames: 2, height: 4, width: 4, channels: 1, data: vec![k * 50; 32] })
            .collect();
        let names = [(0, "play <guitar>".to_owned()), (9, "surf".to_owned())];
        Rows::write(folder.path(), 40, 10, &names, &frames).unwrap();
        let rows = Rows::read(folder.path()).unwrap();
        assert_eq!(rows.which(), "2 of 10 classes, evenly chosen");
        let html = rows.html(folder.path());
        for part in ["step 40", "<th>play &lt;guitar&gt;</th>", "<th>surf</th>", "data:image/gif;base64,"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        std::fs::write(folder.path().join(INDEX), "{}").unwrap();
        assert!(Rows::read(folder.path()).is_none());
        let page = write_page(&folder.path().join("a.gif"), "x", 10, &names, &frames).unwrap();
        assert!(std::fs::read_to_string(page).unwrap().contains("<th>surf</th>"));
    }
}
