//! The program `plinth`, also as the kubectl plugin `kubectl-plinth`: the command line over the operator's library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
