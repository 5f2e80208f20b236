//! Runs cases against gateways, all at once, and gathers what fails.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};

use crate::answer::Answer;
use crate::case::{Case, Source, Step};
use crate::check::Outcome;
use crate::client;
use crate::gateway::{Gateways, Tier};
use crate::message::Head;
use crate::origin::{Origin, Scripted};
use crate::template::Template;
use crate::wire::{mark, request, scripted};

/// Cases that run at once.
const AT_ONCE: usize = 48;

/// How long what may come true later is waited for.
const LATER: Duration = Duration::from_secs(5);

/// Runs a family's cases under a tier; panics with the name of each that fails.
pub(crate) async fn run(family: &str, cases: Vec<Case>, tier: Tier) {
    let origin = Origin::start().await;
    let gateways = Gateways::start(tier, origin.address).await;
    let cases: Vec<_> = cases.into_iter().filter(|case| tier.runs(case)).collect();
    let chosen = std::env::var("RFC9111_CASE").ok();
    let is_chosen = |case: &Case| chosen.as_ref().is_none_or(|part| case.name.contains(part));
    let results: Vec<_> = stream::iter(cases.iter().filter(|case| is_chosen(case)))
        .map(|case| {
            let (origin, gateways) = (&origin, &gateways);
            async move { (case, faults(case, origin, gateways).await) }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut failed: Vec<_> = results.iter().filter(|(_, faults)| !faults.is_empty()).collect();
    failed.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    println!("{family}, {}: {} cases, {} failed", tier.name(), results.len(), failed.len());
    for (case, faults) in &failed {
        println!("FAILED {} ({}): {}", case.name, tier.name(), faults.join("; "));
    }
    assert!(!results.is_empty() || chosen.is_some(), "no case ran");
    assert!(failed.is_empty(), "{} of {} cases failed, named above", failed.len(), results.len());
}

/// What is wrong in the first step in which anything is.
async fn faults(case: &Case, origin: &Origin, gateways: &Gateways) -> Vec<String> {
    let template = Template::new(&case.name);
    let mut answers = Vec::new();
    let mut before = Head::default();
    for (index, step) in case.steps.iter().enumerate() {
        tokio::time::sleep(step.wait).await;
        if index > 0 {
            let patience = if step.source == Source::Origin { Patience::Short } else { Patience::Long };
            gateways
                .written(&mark(&template, awaited(&case.steps[index - 1], step, &answers)), patience)
                .await;
        }
        let script: Vec<_> = step
            .answers
            .iter()
            .zip(answers.len() + 1..)
            .map(|(answer, number)| Scripted { held: step.behind, ..scripted(answer, &template, number) })
            .collect();
        answers.extend(step.answers.iter().cloned());
        let outcome = Outcome { step, template: &template, answers: &answers, before: &before };
        let deadline = tokio::time::Instant::now() + LATER;
        let (head, faults) = loop {
            let (head, faults) = once(&outcome, origin, gateways, index, script.clone()).await;
            if faults.is_empty() || !step.eventually || tokio::time::Instant::now() > deadline {
                break (head, faults);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        if !faults.is_empty() {
            let told: Vec<_> = head.all("Cache-Status").collect();
            return [vec![format!("step {} {told:?}", index + 1)], faults].concat();
        }
        before = head;
    }
    Vec::new()
}

/// The number of the answer that the shared tier must hold before a step, so that another gateway finds it.
fn awaited(before: &Step, step: &Step, answers: &[Answer]) -> usize {
    let updates = before.method == "HEAD" || answers.last().is_some_and(|last| last.status == 304);
    match step.source {
        Source::Stored(Some(number)) if !updates && !step.eventually => number,
        _ => answers.len(),
    }
}

/// How long the shared tier is waited for: an entry may rightly never come.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    Short,
    Long,
}

/// Sends the requests of a step; the last head, and what is wrong.
async fn once(
    outcome: &Outcome<'_>,
    origin: &Origin,
    gateways: &Gateways,
    index: usize,
    script: Vec<Scripted>,
) -> (Head, Vec<String>) {
    let step = outcome.step;
    let case = outcome.template.name();
    let earlier = origin.seen(case).len();
    let together = |answer: Scripted| Scripted {
        together: if answer.together > 0 { earlier + answer.together } else { 0 },
        ..answer
    };
    let script: Vec<_> = script.into_iter().map(together).collect();
    let answers = script.len();
    origin.script(case, script);
    let text = request(step, outcome.template);
    let replies = join_all((0..step.copies).map(|_| client::ask(gateways.address(index), &text))).await;
    if step.behind {
        origin.release(case);
        origin.reached(case, earlier + answers).await;
    }
    tokio::time::sleep(step.watched).await;
    let seen = origin.seen(case);
    let mut faults = outcome.of_origin(seen.get(earlier..).unwrap_or_default());
    for reply in &replies {
        faults.extend(outcome.of_reply(reply));
    }
    let bodies: HashSet<_> = replies.iter().flatten().map(|reply| &reply.body).collect();
    if step.apart && bodies.len() < replies.len() {
        faults.push(format!("{} bodies in {} answers", bodies.len(), replies.len()));
    }
    let last = replies.into_iter().filter_map(Result::ok).next_back();
    (last.map(|reply| reply.head).unwrap_or_default(), faults)
}
