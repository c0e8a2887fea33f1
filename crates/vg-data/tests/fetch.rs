//! Downloads against a server on the loopback interface and stand-ins for npm.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use sha2::{Digest, Sha256};
use vg_core::Error;
use vg_data::{
    Progress, Silent,
    fetch::{Download, FetchOptions, Http, Outcome, download, fetch, is_present},
    manifest::Manifest,
};

/// Patience for tests.
const HTTP: Http = Http { timeout: Duration::from_secs(5), retries: 2, backoff: Duration::from_millis(1) };

/// What the server answers to the n-th request, given the start of the range asked for.
type Answer = Box<dyn Fn(usize, Option<usize>) -> Vec<u8> + Send>;

struct Server {
    address: String,
    requests: Arc<Mutex<Vec<Option<usize>>>>,
}

impl Server {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let start = range_start(&stream);
                let number = seen.lock().unwrap().len();
                seen.lock().unwrap().push(start);
                // A client that has gone is no concern of the server.
                let _ = (&stream).write_all(&answer(number, start));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<Option<usize>> {
        self.requests.lock().unwrap().clone()
    }

    fn wanted(&self, content: &[u8]) -> Download {
        Download {
            url: format!("{}file", self.address),
            bytes: Some(content.len() as u64),
            sha256: Some(sha256(content)),
        }
    }
}

fn range_start(stream: &TcpStream) -> Option<usize> {
    let mut start = None;
    for line in BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let line = line.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            start = range.trim_end_matches('-').parse().ok();
        }
    }
    start
}

fn response(status: &str, headers: &str, announced: usize, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {announced}\r\n{headers}\r\n")
            .into_bytes();
    bytes.extend(body);
    bytes
}

/// Serves `content` and honours ranges; sends at most `cut` bytes of the first answer.
fn serving(content: Vec<u8>, cut: usize) -> Answer {
    Box::new(move |number, start| {
        let from = start.unwrap_or(0);
        let rest = &content[from.min(content.len())..];
        let sent = if number == 0 { &rest[..cut.min(rest.len())] } else { rest };
        match start {
            Some(_) => response(
                "206 Partial Content",
                &format!("Content-Range: bytes {from}-{}/{}\r\n", content.len() - 1, content.len()),
                rest.len(),
                sent,
            ),
            None => response("200 OK", "", rest.len(), sent),
        }
    })
}

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i.wrapping_mul(i) >> 5) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_broken_connection_is_resumed_within_a_run_and_across_runs() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    let server = Server::start(serving(content(), 100_000));
    download(&server.wanted(&content()), &target, HTTP, &Silent).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), content());
    assert_eq!(server.requests(), [None, Some(100_000)]);
    assert_eq!(names(folder.path()), ["file"]);

    std::fs::rename(&target, folder.path().join("file.part")).unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(folder.path().join("file.part"))
        .unwrap()
        .set_len(250_000)
        .unwrap();
    let server = Server::start(serving(content(), usize::MAX));
    download(&server.wanted(&content()), &target, HTTP, &Silent).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), content());
    assert_eq!(server.requests(), [Some(250_000)]);
}

#[test]
fn a_server_without_ranges_is_read_from_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file.part"), b"stale").unwrap();
    let whole = content();
    let server = Server::start(Box::new(move |_, _| response("200 OK", "", whole.len(), &whole)));
    download(&server.wanted(&content()), &folder.path().join("file"), HTTP, &Silent).unwrap();
    assert_eq!(std::fs::read(folder.path().join("file")).unwrap(), content());
}

#[test]
fn bodies_that_stay_cut_off_leave_a_part_and_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(Box::new(|_, start| {
        let headers = format!("Content-Range: bytes {}-9/10\r\n", start.unwrap_or(0));
        response(
            if start.is_some() { "206 Partial Content" } else { "200 OK" },
            &headers,
            10 - start.unwrap_or(0),
            b"ab",
        )
    }));
    let wanted = Download { url: server.address.clone(), bytes: None, sha256: None };
    let error = download(&wanted, &folder.path().join("file"), HTTP, &Silent).unwrap_err().to_string();
    assert!(error.contains("gave up after 3 attempts"), "{error}");
    assert_eq!(server.requests(), [None, Some(2), Some(4)]);
    assert_eq!(names(folder.path()), ["file.part"]);
}

#[test]
fn wrong_content_and_refusals_are_final() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("file");
    let mut other = content();
    other[7] ^= 1;
    let server = Server::start(serving(other, usize::MAX));
    let error = download(&server.wanted(&content()), &target, HTTP, &Silent).unwrap_err();
    assert!(
        matches!(error, Error::Format { .. }) && error.to_string().contains("checksum differs"),
        "{error}"
    );
    assert_eq!((server.requests().len(), names(folder.path()).len()), (1, 0));

    let longer = Server::start(serving(vec![0; 400_000], usize::MAX));
    let error = download(&longer.wanted(&content()), &target, HTTP, &Silent).unwrap_err().to_string();
    assert!(error.contains("more bytes"), "{error}");

    let absent = Server::start(Box::new(|_, _| response("404 Not Found", "", 0, b"")));
    let error = download(&absent.wanted(&content()), &target, HTTP, &Silent).unwrap_err().to_string();
    assert!(error.contains("404"), "{error}");
    assert_eq!(absent.requests().len(), 1);

    let busy = Server::start(Box::new(|n, _| {
        if n < 2 { response("503 Busy", "", 0, b"") } else { response("200 OK", "", 2, b"ok") }
    }));
    download(&busy.wanted(b"ok"), &target, HTTP, &Silent).unwrap();
    assert_eq!((busy.requests().len(), names(folder.path()).len()), (3, 1));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A package as npm packs it.
fn tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn manifest(parts: &str) -> Manifest {
    let text = format!(
        "version = 1\nname = 'toy'\ntitle = 't'\nkind = 'clips'\nlicence = 'l'\nhomepage = 'h'\ncitation = 'c'\ncontents = 'c'\nsplit = 's'\n[expected]\ntrain = 1\ntest = 1\n{parts}"
    );
    Manifest::parse(&text, Path::new("toy.toml")).unwrap()
}

fn file_part(server: &str, bytes: &[u8]) -> Manifest {
    manifest(&format!(
        "[[parts]]\nname = 'p'\n[[parts.files]]\nname = 'a.idx'\nbytes = {}\nsha256 = '{}'\n[[parts.sources]]\nkind = 'url'\nbase = '{server}'\ngzip = true\n",
        bytes.len(),
        sha256(bytes)
    ))
}

fn package_part(package: &[u8], count: usize) -> Manifest {
    manifest(&format!(
        "[[parts]]\nname = 'p'\ntake = '.webp'\ncount = {count}\n[[parts.sources]]\nkind = 'npm'\npackage = 'toy'\npackage_version = '1.0.0'\nbytes = {}\nsha256 = '{}'\nfolder = 'package/assets'\n",
        package.len(),
        sha256(package)
    ))
}

#[derive(Default)]
struct Messages(Mutex<Vec<String>>);

impl Progress for Messages {
    fn message(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn gzipped_files_arrive_unpacked_and_a_second_call_does_nothing() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(serving(gzip(&content()), 1_000));
    let manifest = file_part(&server.address, &content());
    let options = FetchOptions { http: HTTP, ..FetchOptions::new(root.path()) };
    assert!(!is_present(&manifest, root.path()));
    assert_eq!(fetch(&manifest, &options).unwrap(), Outcome::Fetched);
    assert_eq!(std::fs::read(root.path().join("toy/a.idx")).unwrap(), content());
    assert_eq!(names(&root.path().join("toy")), [".vg-download.json", "a.idx"]);
    let asked = server.requests().len();
    assert_eq!(fetch(&manifest, &options).unwrap(), Outcome::Present);
    assert_eq!(server.requests().len(), asked);
    // A file that lost its end is fetched again.
    std::fs::write(root.path().join("toy/a.idx"), b"short").unwrap();
    assert!(!is_present(&manifest, root.path()));
    assert_eq!(fetch(&manifest, &options).unwrap(), Outcome::Fetched);
    assert!(is_present(&manifest, root.path()));
}

#[test]
fn the_next_source_is_tried_and_all_reasons_are_told() {
    let root = tempfile::tempdir().unwrap();
    let local = tempfile::tempdir().unwrap();
    let absent = Server::start(Box::new(|_, _| response("404 Not Found", "", 0, b"")));
    let messages = Arc::new(Messages::default());
    let mut options =
        FetchOptions { http: HTTP, progress: messages.clone(), ..FetchOptions::new(root.path()) };
    let manifest = file_part(&absent.address, &content());
    let error = fetch(&manifest, &options).unwrap_err().to_string();
    assert!(error.contains("could not be fetched from any source") && error.contains("404"), "{error}");
    assert!(messages.0.lock().unwrap()[0].contains("404"));
    assert!(names(&root.path().join("toy")).is_empty());
    // A folder of the user's comes first; files there are checked too.
    options.local = Some(local.path().to_path_buf());
    std::fs::write(local.path().join("a.idx"), b"wrong").unwrap();
    assert!(fetch(&manifest, &options).unwrap_err().to_string().contains("length differs"));
    std::fs::write(local.path().join("a.idx"), content()).unwrap();
    assert_eq!(fetch(&manifest, &options).unwrap(), Outcome::Fetched);
    assert_eq!(std::fs::read(root.path().join("toy/a.idx")).unwrap(), content());
}

#[test]
fn packages_are_checked_and_unpacked() {
    let root = tempfile::tempdir().unwrap();
    let local = tempfile::tempdir().unwrap();
    let package = tarball(&[
        ("package/assets/1f600.webp", b"one"),
        ("package/assets/1f601.webp", b"two"),
        ("package/assets/readme", b"no"),
        ("package/other/1f602.webp", b"no"),
    ]);
    std::fs::write(local.path().join("toy-1.0.0.tgz"), &package).unwrap();
    let options = FetchOptions {
        local: Some(local.path().to_path_buf()),
        npm: "no-such-npm".into(),
        ..FetchOptions::new(root.path())
    };
    assert_eq!(fetch(&package_part(&package, 2), &options).unwrap(), Outcome::Fetched);
    assert_eq!(names(&root.path().join("toy")), [".vg-download.json", "1f600.webp", "1f601.webp"]);
    assert_eq!(std::fs::read(root.path().join("toy/1f601.webp")).unwrap(), b"two");
    let error = fetch(&package_part(&package, 3), &options).unwrap_err().to_string();
    assert!(error.contains("holds 2 files instead of 3"), "{error}");
    assert!(error.contains("no-such-npm was not found; install Node.js"), "{error}");
}

#[cfg(unix)]
#[test]
fn npm_is_run_in_a_folder_of_its_own() {
    use std::os::unix::fs::PermissionsExt;

    let root = tempfile::tempdir().unwrap();
    let package = tarball(&[("package/assets/1f600.webp", b"one")]);
    std::fs::write(root.path().join("served.tgz"), &package).unwrap();
    let npm = root.path().join("npm");
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = 'pack toy@1.0.0' ] || exit 3\ncp {}/served.tgz toy-1.0.0.tgz\n",
        root.path().display()
    );
    std::fs::write(&npm, script).unwrap();
    std::fs::set_permissions(&npm, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = FetchOptions { npm: npm.clone(), ..FetchOptions::new(root.path().join("data")) };
    assert_eq!(fetch(&package_part(&package, 1), &options).unwrap(), Outcome::Fetched);
    // Another package than the pinned one is refused, and what npm says is passed on.
    let other = package_part(b"another package", 1);
    assert!(fetch(&other, &options).unwrap_err().to_string().contains("length differs"));
    std::fs::write(&npm, "#!/bin/sh\necho 'npm ERR! 404 no such package' >&2\nexit 1\n").unwrap();
    assert!(fetch(&other, &options).unwrap_err().to_string().contains("404 no such package"));
}

/// Does nothing where the program that makes and opens Debian's packages is missing.
#[cfg(unix)]
#[test]
fn debian_packages_are_fetched_by_apt_and_keep_what_is_below() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command, Stdio};

    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    for (path, text) in [
        (
            "DEBIAN/control",
            "Package: toy\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: toy\n",
        ),
        ("usr/share/toy/a/x/one.txt", "one"),
        ("usr/share/toy/b/two.txt", "two"),
        ("usr/share/toy/c/three.txt", "three"),
        ("usr/share/toy/four.txt", "four"),
    ] {
        std::fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
        std::fs::write(tree.join(path), text).unwrap();
    }
    let package = root.path().join("toy.deb");
    let build =
        Command::new("dpkg-deb").arg("--build").arg(&tree).arg(&package).stdout(Stdio::null()).status();
    if !build.is_ok_and(|status| status.success()) {
        return;
    }
    let bytes = std::fs::read(&package).unwrap();
    let apt = root.path().join("apt-get");
    let script = format!(
        "#!/bin/sh\n[ \"$1 $3\" = 'download toy=1' ] || exit 3\ncp {} toy_1_all.deb\n",
        package.display()
    );
    std::fs::write(&apt, script).unwrap();
    std::fs::set_permissions(&apt, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = FetchOptions { apt, ..FetchOptions::new(root.path().join("data")) };
    let manifest = manifest(&format!(
        "[[parts]]\nname = 'p'\ntake = ''\ncount = 3\n[[parts.sources]]\nkind = 'apt'\npackage = 'toy'\npackage_version = '1'\nbytes = {}\nsha256 = '{}'\nfolder = './usr/share/toy'\nbelow = ['a/x', 'b', 'four.txt']\n",
        bytes.len(),
        sha256(&bytes)
    ));
    assert_eq!(fetch(&manifest, &options).unwrap(), Outcome::Fetched);
    let found = names(&root.path().join("data/toy"));
    let kept: Vec<&String> = found.iter().filter(|name| !name.starts_with('.')).collect();
    assert_eq!(kept, ["a-x-one.txt", "b-two.txt", "four.txt"]);
}
