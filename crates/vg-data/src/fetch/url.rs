//! One file over HTTP, resumed where it was interrupted.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode, header};
use vg_core::{Error, Result};

use super::{Http, verify};
use crate::progress::{Progress, Unit};

/// A file to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Its address.
    pub url: String,
    /// Its length, if it is known.
    pub bytes: Option<u64>,
    /// Its SHA-256 in hexadecimal digits, if it is known.
    pub sha256: Option<String>,
}

/// Why an attempt ended.
enum Failure {
    /// Worth another attempt.
    Passing(String),
    /// Another attempt would end the same.
    Final(Error),
}

/// Fetches a file to `target`, which appears only when it is whole and its length and checksum are right.
///
/// The bytes gather in `target` + `.part`, which stays there when the connection breaks; the next attempt, also that of another run,
/// asks only for the rest. A file with a wrong checksum is removed.
///
/// # Errors
/// [`Error::Data`] when the server cannot be reached or refuses, [`Error::Format`] for wrong content, [`Error::Io`] from the disk.
pub fn download(wanted: &Download, target: &Path, http: Http, progress: &dyn Progress) -> Result<()> {
    let mut part = Part::open(target)?;
    let mut wait = http.backoff;
    progress.start(&wanted.url, wanted.bytes.unwrap_or(0), Unit::Bytes);
    let mut attempt = 0;
    let outcome = loop {
        match once(wanted, &mut part, http, progress) {
            Ok(()) => break part.finish(wanted, target),
            Err(Failure::Passing(problem)) if attempt < http.retries => {
                progress.message(&format!("{}: {problem}; trying again", wanted.url));
                std::thread::sleep(wait);
                (attempt, wait) = (attempt + 1, wait * 2);
            }
            Err(Failure::Passing(problem)) => {
                break Err(Error::Data(format!(
                    "{}: {problem} (gave up after {} attempts)",
                    wanted.url,
                    attempt + 1
                )));
            }
            Err(Failure::Final(error)) => break Err(error),
        }
    };
    progress.finish();
    if outcome.is_err() && part_path(target).metadata().is_ok_and(|m| m.len() == 0) {
        // Nothing arrived, so there is nothing to resume; the error to report is the first one.
        let _ = std::fs::remove_file(part_path(target));
    }
    outcome
}

fn part_path(target: &Path) -> PathBuf {
    let mut path = target.as_os_str().to_owned();
    path.push(".part");
    PathBuf::from(path)
}

/// One request for what is missing.
fn once(
    wanted: &Download,
    part: &mut Part,
    http: Http,
    progress: &dyn Progress,
) -> std::result::Result<(), Failure> {
    if wanted.bytes == Some(part.bytes) {
        return Ok(());
    }
    let mut request = agent(http).get(&wanted.url);
    if part.bytes > 0 {
        request = request.header(header::RANGE, format!("bytes={}-", part.bytes));
    }
    let mut response = request.call().map_err(|e| Failure::Passing(e.to_string()))?;
    let refused =
        |status| Failure::Final(Error::Data(format!("{}: the server answered {status}", wanted.url)));
    match response.status() {
        StatusCode::PARTIAL_CONTENT if resumes_at(&response, part.bytes) => {}
        StatusCode::OK => part.reset().map_err(Failure::Final)?,
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            part.reset().map_err(Failure::Final)?;
            return Err(Failure::Passing("the server cannot resume".to_owned()));
        }
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Err(Failure::Passing(format!("the server answered {status}")));
        }
        status => return Err(refused(status)),
    }
    progress.advance(part.bytes);
    let announced = length(&response).map(|rest| part.bytes + rest);
    let limit = wanted.bytes.or(announced);
    part.receive(response.body_mut().as_reader(), limit, progress)?;
    match limit {
        Some(total) if part.bytes < total => {
            Err(Failure::Passing(format!("the connection ended after {} of {total} bytes", part.bytes)))
        }
        _ => Ok(()),
    }
}

fn agent(http: Http) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_resolve(Some(http.timeout))
        .timeout_connect(Some(http.timeout))
        .timeout_recv_response(Some(http.timeout * 2))
        .http_status_as_error(false)
        .build()
        .new_agent()
}

fn length<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn resumes_at<B>(response: &Response<B>, start: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

/// The unfinished file.
struct Part {
    path: PathBuf,
    file: File,
    bytes: u64,
    hash: Sha256,
}

impl Part {
    fn open(target: &Path) -> Result<Self> {
        let path = part_path(target);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut part =
            Self { file: file.map_err(Error::io("writing", &path))?, path, bytes: 0, hash: Sha256::new() };
        part.read_rest()?;
        Ok(part)
    }

    /// Takes what an earlier run left into the checksum.
    fn read_rest(&mut self) -> Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = self.file.read(&mut buffer).map_err(Error::io("reading", &self.path))?;
            if n == 0 {
                return Ok(());
            }
            self.hash.update(&buffer[..n]);
            self.bytes += n as u64;
        }
    }

    fn reset(&mut self) -> Result<()> {
        self.hash = Sha256::new();
        self.bytes = 0;
        let cut = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map(|_| ()).map_err(Error::io("writing", &self.path))
    }

    fn receive(
        &mut self,
        mut body: impl Read,
        limit: Option<u64>,
        progress: &dyn Progress,
    ) -> std::result::Result<(), Failure> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) => return Err(Failure::Passing(format!("the connection broke ({error})"))),
            };
            if limit.is_some_and(|limit| self.bytes + n as u64 > limit) {
                let problem = "the server sends more bytes than the file should have";
                let error = Error::format(&self.path, problem);
                self.remove().map_err(Failure::Final)?;
                return Err(Failure::Final(error));
            }
            let written = self.file.write_all(&buffer[..n]).map_err(Error::io("writing", &self.path));
            written.map_err(Failure::Final)?;
            self.hash.update(&buffer[..n]);
            self.bytes += n as u64;
            progress.advance(n as u64);
        }
    }

    fn remove(&self) -> Result<()> {
        std::fs::remove_file(&self.path).map_err(Error::io("removing", &self.path))
    }

    /// Checks the whole and gives it its name.
    fn finish(self, wanted: &Download, target: &Path) -> Result<()> {
        let sha256 = format!("{:x}", self.hash.clone().finalize());
        let expected = (wanted.bytes.unwrap_or(self.bytes), wanted.sha256.as_deref().unwrap_or(&sha256));
        if let Err(error) = verify::check(Path::new(&wanted.url), expected, (self.bytes, &sha256)) {
            self.remove()?;
            return Err(error);
        }
        self.file.sync_all().map_err(Error::io("writing", &self.path))?;
        std::fs::rename(&self.path, target).map_err(Error::io("writing", target))
    }
}
