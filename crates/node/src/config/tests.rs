use super::*;

const MINIMAL: &str = r#"
data = "data"
volumes = ["volumes/1", "/srv/2"]
[network]
listen = "0.0.0.0:7400"
advertise = "n1.example:7400"
[admin]
socket = "n1.sock"
"#;

fn read(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holdfastd.toml");
    Files::real().write_atomic(&path, text.as_bytes(), 0o600).unwrap();
    Config::read(&Files::real(), &path).map(|mut config| {
        config.data = config.data.strip_prefix(folder.path()).unwrap().to_owned();
        config.admin.socket = config.admin.socket.strip_prefix(folder.path()).unwrap().to_owned();
        config
    })
}

#[test]
fn a_minimal_configuration_gets_the_defaults_and_paths_beside_it() {
    let config = read(MINIMAL).unwrap();
    assert_eq!(config.data, Path::new("data"));
    assert_eq!(config.volumes[1], Path::new("/srv/2"));
    assert!(config.volumes[0].is_absolute());
    assert_eq!(config.backup.object_mib, 64);
    assert!(config.metrics.listen.ip().is_loopback());
    let quiet = TelemetryOptions { filter: "info,openraft=error".to_owned(), ..TelemetryOptions::default() };
    assert_eq!(config.telemetry(), quiet);
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    for (text, key) in [
        (MINIMAL.replace("socket =", "sockets ="), "sockets"),
        (format!("surprise = 1\n{MINIMAL}"), "surprise"),
        (format!("{MINIMAL}\n[backup]\nobject_mb = 1\n"), "object_mb"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("holdfastd.toml"), "{error}");
    }
}

#[test]
fn a_missing_key_and_a_wrong_type_are_named() {
    let error = read(&MINIMAL.replace("advertise = \"n1.example:7400\"", "")).unwrap_err().to_string();
    assert!(error.contains("advertise"), "{error}");
    let error = read(&MINIMAL.replace("\"data\"", "7")).unwrap_err().to_string();
    assert!(error.contains("data"), "{error}");
}

#[test]
fn every_value_that_cannot_be_used_is_refused_under_its_key() {
    let long = "x".repeat(120);
    for (from, to, key) in [
        ("\"/srv/2\"", "\"volumes/1\"", "volumes"),
        ("\"/srv/2\"", "\"data\"", "volumes"),
        ("[\"volumes/1\", \"/srv/2\"]", "[]", "volumes"),
        ("n1.example:7400", "n1.example", "network.advertise"),
        ("n1.example:7400", "n1.example:0", "network.advertise"),
        ("n1.example:7400", "0.0.0.0:7400", "network.advertise"),
        ("n1.sock", &long, "admin.socket"),
        ("n1.sock", "", "admin.socket"),
        ("n1.sock", "data", "admin.socket"),
        ("n1.sock", "volumes/1/n1.sock", "admin.socket"),
        ("\"data\"", "\"\"", "data"),
        ("\"/srv/2\"", "\"\"", "volumes"),
        ("\"/srv/2\"", "\"./volumes/1/\"", "volumes"),
        ("\"/srv/2\"", "\"volumes/../data\"", "volumes"),
        ("\"/srv/2\"", "\"data/volume\"", "volumes"),
        ("\"/srv/2\"", "\"volumes/1/2\"", "volumes"),
        ("\"data\"", "\"volumes/1/data\"", "volumes"),
    ] {
        let error = read(&MINIMAL.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, ConfigError::Value { key: found, .. } if *found == key), "{key}: {error}");
    }
    for (section, key) in [
        ("[metrics]\nlisten = \"0.0.0.0:7401\"", "metrics.listen"),
        ("[metrics]\nlisten = \"127.0.0.1:7400\"", "metrics.listen"),
        ("[log]\nformat = \"xml\"", "log.format"),
        ("[log]\nfilter = \"node=loudest\"", "log.filter"),
        ("[backup]\nobject_mib = 0", "backup.object_mib"),
        ("[sessions]\nlease_seconds = 0", "sessions.lease_seconds"),
        ("[blocks]\ncapacity_mib = 0", "blocks.capacity_mib"),
        ("[blocks]\nsegment_mib = 0", "blocks.segment_mib"),
        ("[blocks]\ncopy_mib_per_second = 0", "blocks.copy_mib_per_second"),
        ("[blocks]\nscrub_days = 0", "blocks.scrub_days"),
        ("[blocks]\nscrub_mib_per_second = 0", "blocks.scrub_mib_per_second"),
        ("[metadata]\nlog_entries = 10", "metadata.log_entries"),
    ] {
        let error = read(&format!("{MINIMAL}\n{section}\n")).unwrap_err();
        assert!(matches!(&error, ConfigError::Value { key: found, .. } if *found == key), "{key}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::read(&Files::real(), Path::new("/nowhere/holdfastd.toml")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/holdfastd.toml"), "{error}");
}

#[test]
fn the_sample_files_can_be_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cluster-config");
    for name in ["holdfastd.toml", "local-1.toml", "local-2.toml", "local-3.toml"] {
        let read = Config::read(&Files::real(), &folder.join(name));
        assert!(read.is_ok(), "{name}: {read:?}");
    }
}
