//! Converts published weights: `convert NETWORK FROM FOLDER`, where FROM is a file or a folder with the published files.

use vg_metrics::weights::{self, Network};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, from, folder] = arguments.as_slice() else {
        let names = Network::ALL.map(Network::name).join(", ");
        return Err(format!("usage: convert NETWORK FROM FOLDER; networks: {names}").into());
    };
    let network = Network::find(name)?;
    weights::convert(network, from, folder)?;
    let weights = weights::open(network, folder)?;
    #[allow(clippy::print_stdout, reason = "an example's result")]
    {
        println!("{} {}", weights.source(), weights.sha256());
    }
    Ok(())
}
