use std::collections::HashSet;

use runtime::Seed;
use types::{Incarnation, Lin, NodeId};

use super::{Next, Queues, Ticket};
use crate::plan::{Item, Unit, UnitName};
use crate::work::WorkerId;

fn worker(node: u64, incarnation: u64) -> WorkerId {
    WorkerId { node: NodeId(node), incarnation: Incarnation(incarnation), start: 0 }
}

fn ticket(lin: u64, preferred: u64, bytes: u64) -> Ticket<u64> {
    let unit = Unit::new(vec![Item::whole(Lin(lin))], bytes, Some(NodeId(preferred)));
    Ticket { name: unit.name, bytes, preferred: unit.preferred, place: lin }
}

/// Asks a question that was not asked before.
fn pull(queues: &mut Queues<u64>, by: WorkerId) -> Next<u64> {
    let number = queues.answered.get(&by).map_or(0, |(newest, _)| newest + 1);
    queues.pull(by, number)
}

fn pulled(queues: &mut Queues<u64>, by: WorkerId) -> u64 {
    match pull(queues, by) {
        Next::Unit(ticket) => ticket.place,
        other => panic!("no unit but {other:?}"),
    }
}

#[test]
fn a_worker_takes_its_own_units_first_and_then_from_the_longest_queue() {
    let mut queues = Queues::new(HashSet::new());
    for (lin, node, bytes) in [(1, 1, 10), (2, 2, 10), (3, 3, 10), (4, 3, 10)] {
        queues.add(ticket(lin, node, bytes));
    }
    assert_eq!(pulled(&mut queues, worker(1, 1)), 1);
    assert_eq!(pulled(&mut queues, worker(1, 1)), 3);
    assert_eq!(pulled(&mut queues, worker(3, 1)), 4);
    assert_eq!(pulled(&mut queues, worker(3, 1)), 2);
    assert_eq!(pull(&mut queues, worker(2, 1)), Next::Later);
    queues.complete_plan();
    assert_eq!(pull(&mut queues, worker(2, 1)), Next::Drain);
}

#[test]
fn the_units_of_a_lost_worker_come_back() {
    let mut queues = Queues::new(HashSet::new());
    queues.add(ticket(1, 1, 10));
    queues.complete_plan();
    assert_eq!(pulled(&mut queues, worker(1, 1)), 1);
    assert_eq!(queues.give_back(|lost| lost == worker(1, 1)), 1);
    assert_eq!(pulled(&mut queues, worker(2, 1)), 1);
    queues.complete(&[ticket(1, 1, 10).name]);
    assert_eq!(pull(&mut queues, worker(2, 1)), Next::Finished);
    assert!(queues.is_finished());
}

#[test]
fn a_process_that_started_anew_gives_up_what_the_one_before_it_had() {
    let mut queues = Queues::new(HashSet::new());
    queues.add(ticket(1, 1, 10));
    assert_eq!(pulled(&mut queues, worker(1, 1)), 1);
    assert_eq!(pulled(&mut queues, worker(1, 2)), 1);
}

#[test]
fn a_question_that_is_asked_again_gets_the_answer_that_was_lost() {
    let mut queues = Queues::new(HashSet::new());
    (1..=3).for_each(|lin| queues.add(ticket(lin, 1, 10)));
    let by = worker(1, 1);
    assert_eq!(queues.pull(by, 0), Next::Unit(ticket(1, 1, 10)));
    assert_eq!(queues.pull(by, 0), Next::Unit(ticket(1, 1, 10)));
    assert_eq!(queues.pull(by, 1), Next::Unit(ticket(2, 1, 10)));
    assert_eq!(queues.pull(by, 0), Next::Later, "nobody hears the answer to an older question");
    queues.give_back(|lost| lost == by);
    assert_eq!(pulled(&mut queues, worker(2, 1)), 2);
    assert_eq!(queues.pull(by, 1), Next::Unit(ticket(1, 1, 10)), "what another worker has is not given twice");
}

#[test]
fn the_units_of_a_worker_that_failed_come_back_at_once() {
    let mut queues = Queues::new(HashSet::new());
    (1..=2).for_each(|lin| queues.add(ticket(lin, 1, 10)));
    assert_eq!(pulled(&mut queues, worker(1, 1)), 1);
    assert_eq!(pulled(&mut queues, worker(2, 1)), 2);
    assert_eq!(queues.fail(worker(1, 2)), 1, "what the process before it had");
    assert_eq!(queues.fail(worker(1, 1)), 0, "what it had is counted once");
    assert_eq!(pulled(&mut queues, worker(2, 1)), 1);
}

#[test]
fn a_unit_with_which_workers_fail_again_and_again_is_found_out() {
    let mut queues = Queues::new(HashSet::new());
    queues.add(ticket(1, 1, 10));
    let start = |start| WorkerId { start, ..worker(1, 1) };
    for number in 0..3 {
        assert_eq!(pulled(&mut queues, start(number)), 1);
    }
    assert_eq!(queues.hopeless(3), None);
    assert_eq!(pulled(&mut queues, start(3)), 1);
    assert_eq!(queues.hopeless(3), Some(&ticket(1, 1, 10).name));
    queues.complete(&[ticket(1, 1, 10).name]);
    assert_eq!(queues.hopeless(3), None);
}

#[test]
fn a_late_report_of_a_worker_taken_for_lost_counts_once() {
    let mut queues = Queues::new(HashSet::new());
    queues.add(ticket(1, 1, 10));
    queues.add(ticket(2, 1, 10));
    queues.complete_plan();
    assert_eq!(pulled(&mut queues, worker(1, 1)), 1);
    queues.give_back(|lost| lost.node == NodeId(1));
    let name = ticket(1, 1, 10).name;
    queues.complete(&[name.clone(), name]);
    assert_eq!(queues.progress(), (1, 2));
    assert_eq!(pulled(&mut queues, worker(2, 1)), 2);
}

#[test]
fn what_an_earlier_owner_saw_reported_is_not_packed_again() {
    let mut queues = Queues::new(HashSet::from([ticket(1, 1, 10).name]));
    queues.add(ticket(1, 1, 10));
    queues.add(ticket(2, 1, 10));
    queues.complete_plan();
    assert_eq!(pulled(&mut queues, worker(1, 1)), 2);
    assert_eq!(queues.progress(), (1, 2));
}

#[test]
fn a_report_that_comes_before_its_unit_is_planned_counts() {
    let mut queues = Queues::new(HashSet::new());
    queues.complete(&[ticket(1, 1, 10).name]);
    queues.add(ticket(1, 1, 10));
    queues.complete_plan();
    assert!(queues.is_finished());
}

#[test]
fn whatever_happens_every_unit_is_done_once_and_the_job_ends() {
    let seed =
        std::env::var("HOLDFAST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| Seed::from_os().u64());
    println!("HOLDFAST_SEED={seed}");
    let seed = Seed::fixed(seed);
    let mut queues = Queues::new(HashSet::new());
    (0..200).for_each(|lin| queues.add(ticket(lin, 1 + lin % 3, lin)));
    queues.complete_plan();
    let mut held: Vec<(WorkerId, UnitName)> = Vec::new();
    while !queues.is_finished() {
        let by = worker(1 + seed.below(3), 1);
        match seed.below(8) {
            0 => {
                queues.give_back(|lost| lost == by);
                // Half of the lost workers were only slow, and report later.
                if seed.below(2) == 0 {
                    held.retain(|(holder, _)| *holder != by);
                }
            }
            1..=3 if !held.is_empty() => {
                let (_, name) = held.swap_remove(seed.below(held.len() as u64) as usize);
                queues.complete(&[name]);
            }
            _ => {
                if let Next::Unit(ticket) = pull(&mut queues, by) {
                    held.push((by, ticket.name));
                }
            }
        }
        let (done, planned) = queues.progress();
        assert!(done <= planned);
    }
    assert_eq!(queues.progress(), (200, 200));
}
