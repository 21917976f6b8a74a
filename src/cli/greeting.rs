//! What the first start prints: the administrator's credentials, this once, and settings to paste into engines.

use crate::app::Bootstrapped;
use crate::config::Config;

/// Prints where the server is and, after the first start, how to use it.
#[allow(clippy::print_stdout, reason = "what a person at the terminal waits for")]
pub fn print(config: &Config, bootstrapped: Option<Bootstrapped>) {
    let url = config.url();
    println!("nunatak {} serves Iceberg at {url}/catalog; its API is described at {url}/docs", env!("CARGO_PKG_VERSION"));
    if let Some(bootstrapped) = bootstrapped {
        println!("{}", greeting(&url, &bootstrapped));
    }
}

fn greeting(url: &str, bootstrapped: &Bootstrapped) -> String {
    let id = &bootstrapped.client_id;
    let (secret, note) = match &bootstrapped.client_secret {
        Some(secret) => (secret.expose().to_owned(), "They are not shown again."),
        None => ("<the secret that you set>".to_owned(), "The secret is the one that you set."),
    };
    format!(
        "
The administrator's credentials. {note}
  client id:     {id}
  client secret: {secret}

PyIceberg
  from pyiceberg.catalog import load_catalog
  catalog = load_catalog(\"nunatak\", type=\"rest\", uri=\"{url}/catalog\", warehouse=\"default\",
                         credential=\"{id}:{secret}\")

Spark
  spark.sql.catalog.nunatak=org.apache.iceberg.spark.SparkCatalog
  spark.sql.catalog.nunatak.type=rest
  spark.sql.catalog.nunatak.uri={url}/catalog
  spark.sql.catalog.nunatak.warehouse=default
  spark.sql.catalog.nunatak.credential={id}:{secret}
  spark.sql.catalog.nunatak.oauth2-server-uri={url}/catalog/v1/oauth/tokens

Trino
  connector.name=iceberg
  iceberg.catalog.type=rest
  iceberg.rest-catalog.uri={url}/catalog
  iceberg.rest-catalog.warehouse=default
  iceberg.rest-catalog.security=OAUTH2
  iceberg.rest-catalog.oauth2.credential={id}:{secret}
  iceberg.rest-catalog.oauth2.server-uri={url}/catalog/v1/oauth/tokens
  fs.hadoop.enabled=true

Flink
  CREATE CATALOG nunatak WITH ('type'='iceberg', 'catalog-type'='rest', 'uri'='{url}/catalog',
    'warehouse'='default', 'credential'='{id}:{secret}',
    'oauth2-server-uri'='{url}/catalog/v1/oauth/tokens');

DuckDB
  INSTALL iceberg; LOAD iceberg;
  CREATE SECRET nunatak (TYPE iceberg, CLIENT_ID '{id}', CLIENT_SECRET '{secret}',
    OAUTH2_SERVER_URI '{url}/catalog/v1/oauth/tokens');
  ATTACH 'default' AS nunatak (TYPE iceberg, ENDPOINT '{url}/catalog', SECRET nunatak,
    ACCESS_DELEGATION_MODE 'none');
"
    )
}
