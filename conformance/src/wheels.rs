//! The released programs, taken out of their wheels with pip. Wheels are kept between runs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that carries the released programs.
const PACKAGE: &str = "pilotprotocol";

/// Whatever Python is installed, the wheels wanted are those of the released Linux programs.
const PLATFORM: [&str; 12] = [
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "cp311",
    "--abi",
    "none",
    "--platform",
    "manylinux_2_34_x86_64",
    "--platform",
    "manylinux_2_35_x86_64",
];

/// The directory with `pilot-daemon` and `pilotctl` of one release, fetched if it is not in `cache` yet.
pub(crate) fn programs_of(version: &str, cache: &Path) -> Result<PathBuf, String> {
    let unpacked = cache.join(version);
    let bin = unpacked.join(PACKAGE).join("bin");
    if bin.join("pilot-daemon").is_file() && bin.join("pilotctl").is_file() {
        return Ok(bin);
    }
    // Another run may fetch the same: each has a folder of its own, and the first to be ready is taken.
    let partial = cache.join(format!("{version}.partial-{}", std::process::id()));
    std::fs::create_dir_all(&partial).map_err(|e| format!("{}: {e}", partial.display()))?;
    eprintln!("fetching {PACKAGE} {version}");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]);
    pip.args(["--only-binary=:all:", "--dest"]).arg(&partial).args(PLATFORM);
    pip.arg(format!("{PACKAGE}=={version}"));
    succeed(&mut pip)?;
    let wheel = std::fs::read_dir(&partial)
        .map_err(|e| format!("{}: {e}", partial.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or(format!("pip left no wheel in {}", partial.display()))?;
    succeed(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&partial))?;
    std::fs::remove_file(&wheel).map_err(|e| format!("{}: {e}", wheel.display()))?;
    for program in ["pilot-daemon", "pilotctl"] {
        let path = partial.join(PACKAGE).join("bin").join(program);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if let Err(error) = std::fs::rename(&partial, &unpacked) {
        let _ = std::fs::remove_dir_all(&partial);
        if !bin.join("pilotctl").is_file() {
            return Err(format!("{}: {error}", unpacked.display()));
        }
    }
    Ok(bin)
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{command:?}: {}: {}", output.status, crate::process::tail(&errors, 3)))
}
