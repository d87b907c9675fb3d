//! The program, as a shell runs it against a server under test.

use std::process::Output;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::Server;

pub struct Shell {
    server: String,
    key: String,
    folder: tempfile::TempDir,
}

impl Shell {
    pub fn new(server: &Server, key: &str) -> Self {
        Self { server: server.address(), key: key.to_owned(), folder: tempfile::tempdir().expect("a folder") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carryover"));
        command
            .args(arguments)
            .env("CARRYOVER_SERVER", &self.server)
            .env("CARRYOVER_API_KEY", &self.key)
            .current_dir(self.folder.path());
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, &[]).await
    }

    /// Runs it with further variables of the environment.
    pub async fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(variables.iter().copied()).output().await.expect("it runs")
    }

    /// The JSON object on the last line of a run that reads `input`.
    pub async fn json_of(&self, arguments: &[&str], input: &str, code: i32) -> Value {
        std::fs::write(self.path("input"), input).expect("written");
        let file = std::fs::File::open(self.path("input")).expect("opened");
        let output = self.command(arguments).stdin(file).output().await.expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        let out = String::from_utf8(output.stdout).expect("text");
        serde_json::from_str(out.lines().last().expect("a line")).expect("a JSON object")
    }

    /// Standard output of a run that ends with `code`.
    pub async fn out(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The JSON object on the last line; a watch prints one a line.
    pub async fn json(&self, arguments: &[&str], code: i32) -> Value {
        let out = self.out(arguments, code).await;
        serde_json::from_str(out.lines().last().expect("a line")).expect("a JSON object")
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The JSON objects that a list prints, one a line.
    pub async fn lines(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.out(&[arguments, &["--json"]].concat(), 0).await;
        out.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
    }
}
