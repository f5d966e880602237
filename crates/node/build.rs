//! Tells the program from which commit it was built.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../../.git/HEAD");
    println!("cargo::rerun-if-changed=../../.git/logs/HEAD");
    println!("cargo::rerun-if-env-changed=HOLDFAST_COMMIT");
    let commit = std::env::var("HOLDFAST_COMMIT").ok().or_else(commit_of_checkout);
    println!("cargo::rustc-env=HOLDFAST_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The commit of the checkout; a source archive has none.
fn commit_of_checkout() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
