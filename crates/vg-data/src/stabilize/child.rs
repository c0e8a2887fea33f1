//! Calls of ffmpeg that an interruption of this program does not end.

use std::process::Command;

/// Puts a call in a process group of its own. A terminal sends Ctrl-C to the whole group of a program: a call that it ended would make a
/// sound video look broken. One whose work is given up is killed when it is dropped.
#[cfg(unix)]
pub(super) fn apart(mut command: Command) -> Command {
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// Elsewhere Ctrl-C cannot be kept from a child this way.
#[cfg(not(unix))]
pub(super) fn apart(command: Command) -> Command {
    command
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn calls_have_process_groups_of_their_own() {
        let group_of = |process: &str| -> u32 {
            let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
            // After the name in brackets: state, parent, group.
            let rest = text.rsplit_once(')').unwrap().1;
            rest.split_whitespace().nth(2).unwrap().parse().unwrap()
        };
        let mut command = apart(Command::new("cat"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let id = child.id();
        assert_eq!(group_of(&id.to_string()), id);
        assert_ne!(group_of("self"), id);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
