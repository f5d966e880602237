//! The table of rules against the protocol's own description.

use std::collections::BTreeSet;
use std::path::Path;

use cluster::{Access, Caller, RolePolicy};
use types::NodeId;

/// The paths of all methods in `/proto`.
fn methods_of_protocol() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let files: Vec<_> = runtime::Files::real()
        .list(&root.join("holdfast/v1"))
        .expect("the protocol's folder can be read")
        .into_iter()
        .filter(|entry| entry.path.extension().is_some_and(|extension| extension == "proto"))
        .map(|entry| entry.path)
        .collect();
    let descriptors = protox::compile(files, [root]).expect("the protocol compiles");
    let mut methods = BTreeSet::new();
    for file in &descriptors.file {
        for service in &file.service {
            for method in &service.method {
                methods.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    methods
}

#[test]
fn every_method_of_the_protocol_has_exactly_one_rule_and_no_rule_is_left_over() {
    let ruled: Vec<String> = RolePolicy::rules().map(|rule| rule.method.to_owned()).collect();
    let distinct: BTreeSet<String> = ruled.iter().cloned().collect();
    assert_eq!(ruled.len(), distinct.len(), "a method has two rules");
    let protocol = methods_of_protocol();
    assert!(protocol.len() > 30, "the protocol was not read: {protocol:?}");
    assert_eq!(distinct, protocol);
}

#[test]
fn joining_is_the_only_method_open_without_a_certificate() {
    let policy = RolePolicy::of_protocol();
    let open: Vec<_> =
        methods_of_protocol().into_iter().filter(|method| policy.allows(method, &Caller::Anonymous)).collect();
    assert_eq!(open, ["/holdfast.v1.Enrolment/Join"]);
}

#[test]
fn what_moves_secrets_blocks_or_raft_between_nodes_is_for_nodes_alone() {
    let policy = RolePolicy::of_protocol();
    let callers = [Caller::Local, Caller::Admin { name: "root".to_owned() }, Caller::Anonymous];
    for method in methods_of_protocol() {
        let internal = ["Raft/", "Keys/", "Work/", "Blocks/Put", "Blocks/Get"].iter().any(|part| method.contains(part));
        if internal {
            assert!(policy.allows(&method, &Caller::Node { node: NodeId(1) }), "{method}");
            assert!(!callers.iter().any(|caller| policy.allows(&method, caller)), "{method}");
        }
    }
}

#[test]
fn making_and_joining_a_cluster_is_done_on_the_node_itself() {
    let rules: Vec<_> =
        RolePolicy::rules().filter(|rule| rule.access == Access::Local).map(|rule| rule.method).collect();
    assert_eq!(rules, ["/holdfast.v1.Cluster/Initialize", "/holdfast.v1.Cluster/Join"]);
    let policy = RolePolicy::of_protocol();
    assert!(!policy.allows("/holdfast.v1.Cluster/Initialize", &Caller::Admin { name: "root".to_owned() }));
}

#[test]
fn a_method_without_a_rule_is_refused_to_everybody() {
    let policy = RolePolicy::of_protocol();
    let callers =
        [Caller::Local, Caller::Admin { name: "root".to_owned() }, Caller::Node { node: NodeId(1) }, Caller::Anonymous];
    for caller in callers {
        assert!(!policy.allows("/holdfast.v1.Cluster/Unheard", &caller));
        assert!(!policy.allows("", &caller));
    }
}
