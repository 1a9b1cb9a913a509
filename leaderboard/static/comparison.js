// Two entries compared from their published records: the rows of `holdfast compare`, in its order, with its verdicts.
// A row has the fields of the command's JSON. Entries without outcomes per example are compared by two proportions.
"use strict";
(() => {
  const ALPHA = 0.05;
  const CLEAN = "clean accuracy";
  const ADVERSARY = "official adversary";
  const tests = window.holdfastStatistics;

  const unlimited = (costs) => costs.map((cost) => cost ?? Infinity);
  const sameAttack = (one, other) => one.attack === other.attack && one.position === other.position;
  const longest = (results) => results.reduce((best, each) => (each.costs.length > best.costs.length ? each : best));

  // base, candidate: records as `holdfastRecords` was given them. tiers: [FLOP, its text] each.
  function compare(base, candidate, tiers) {
    const rows = base.tasks.flatMap((task) => {
      const other = candidate.tasks.find((each) => each.name === task.name);
      const paired = task.measured.length && (!other || other.measured.length);
      const found = paired ? pairedRows(task, other, tiers) : unpairedRows(task, other, tiers);
      return found.map((row) => ({ task: task.name, label: row.attack, reason: "", examples: 0, ...row }));
    });
    return { rows: judged(rows), added: added(base, candidate) };
  }

  // On the same examples.
  function pairedRows(task, other, tiers) {
    const [obstacle, why] = obstacleOf(task, other);
    return questions(task.measured, obstacle ? [] : other.measured).flatMap((question) => {
      const named = { attack: question.attack, label: question.label };
      if (obstacle) return [{ ...named, tier: null, verdict: obstacle, reason: why }];
      if (!question.candidate) return [{ ...named, tier: null, verdict: question.verdict, reason: question.reason }];
      if (!sameExamples(question.base, question.candidate)) {
        const reason = "the examples are not the same, or not in the same order";
        return [{ ...named, tier: null, verdict: "not comparable", reason }];
      }
      return answers(question.base, question.candidate, question.attack === CLEAN, tiers).map((row) => ({ ...named, ...row }));
    });
  }

  // Why nothing of a task can be compared, if so.
  function obstacleOf(task, other) {
    if (!other) return ["missing", "the candidate lacks the task"];
    if (task.version !== other.version) {
      return ["not comparable", `version ${task.version} of the task in the base, ${other.version} in the candidate`];
    }
    if (task.digest === other.digest) return [null, ""];
    const digests = `digest ${task.digest.slice(0, 12)} in the base, ${other.digest.slice(0, 12)} in the candidate`;
    return ["not comparable", `the evaluation sets differ: ${digests}`];
  }

  // Nobody, the official adversary, then every attack of the base.
  function questions(base, candidate) {
    const clean = { attack: CLEAN, label: CLEAN, base: longest(base), candidate: candidate.length ? longest(candidate) : null };
    const found = [{ ...clean, verdict: "missing", reason: "" }];
    const official = base.filter((result) => result.official && result.position === "suffix");
    if (new Set(official.map((result) => result.attack)).size > 1) {
      const same = candidate.filter((result) => result.official && official.some((each) => sameAttack(each, result)));
      const lacking = official.filter((result) => !same.some((each) => sameAttack(each, result)));
      found.push({
        attack: ADVERSARY,
        label: ADVERSARY,
        base: together(official),
        candidate: lacking.length ? null : together(same),
        verdict: "missing",
        reason: `the candidate lacks ${lacking.map((result) => result.attack).join(", ")}`,
      });
    }
    for (const result of base) {
      const named = candidate.filter((each) => sameAttack(each, result));
      const told = telling(result, base);
      found.push({
        attack: result.name + told,
        label: result.label + told,
        base: result,
        candidate: named.find((each) => !differences(result, each)) ?? null,
        verdict: named.length ? "not comparable" : "missing",
        reason: named.length ? `the parameters differ: ${differences(result, named[0])}` : "the candidate lacks it",
      });
    }
    return found;
  }

  function together(results) {
    const first = results[0];
    const runs = results.map((result) => ({ ...result, costs: unlimited(result.costs) }));
    const shortest = results.reduce((best, each) => (each.budget < best.budget ? each : best));
    return { ...first, ...tests.adversary(runs), budgetText: shortest.budgetText };
  }

  // The parameters in which two results of an attack differ.
  function differences(one, other) {
    const [ours, theirs] = [new Map(one.parameters), new Map(other.parameters)];
    const names = [...new Set([...ours.keys(), ...theirs.keys()])].sort((a, b) => (a < b ? -1 : 1));
    const differing = names.filter((name) => ours.get(name) !== theirs.get(name));
    return differing.map((name) => `${name} ${ours.get(name) ?? "none"} and ${theirs.get(name) ?? "none"}`).join(", ");
  }

  // What tells an attack from its variants at the same position: " (length 20)".
  function telling(result, among) {
    const twins = among.filter((each) => sameAttack(each, result)).map((each) => new Map(each.parameters));
    const differing = (result.parameters ?? []).filter(([key, value]) => twins.some((twin) => twin.get(key) !== value));
    return differing.length ? ` (${differing.map(([key, value]) => `${key} ${value}`).join(", ")})` : "";
  }

  function sameExamples(one, other) {
    const count = Math.min(one.costs.length, other.costs.length);
    return one.prefixes[count] === other.prefixes[count];
  }

  // Clean accuracy, or one attack at every tier within both budgets and over the curve; then what is missing.
  function answers(base, candidate, clean, tiers) {
    const count = Math.min(base.costs.length, candidate.costs.length);
    const fewer = candidate.costs.length < base.costs.length;
    const reason = `the candidate has ${candidate.costs.length} of the base's ${base.costs.length} examples`;
    const said = { examples: count, verdict: fewer ? "missing" : "no evidence", reason: fewer ? reason : "" };
    const [ours, theirs] = [base, candidate].map((each) => unlimited(each.costs).slice(0, count));
    const shorter = candidate.budget < base.budget ? candidate : base;
    const within = clean ? [[0, ""]] : tiersWithin(shorter, tiers);
    const rows = within.map(([tier, tierText]) => ({ tier, tierText, ...said, ...tests.pairedDifference(ours, theirs, tier) }));
    if (clean) return rows;
    rows.push({ tier: null, ...said, ...tests.logRank(ours, theirs, shorter.budget) });
    for (const [tier, tierText] of tiersWithin(base, tiers)) {
      if (tier > shorter.budget * (1 + 1e-9)) {
        rows.push({ tier, tierText, verdict: "missing", reason: `the candidate's budget ends at ${shorter.budgetText}` });
      }
    }
    return rows;
  }

  // The tiers within a budget, and the budget itself.
  function tiersWithin({ budget, budgetText }, tiers) {
    return [...tiers.filter(([tier]) => tier < budget * (1 - 1e-9)), [budget, budgetText]];
  }

  // Two proportions, where both are exactly known: nobody is known to have been asked the same.
  function unpairedRows(task, other, tiers) {
    const [base, candidate] = [figures(task, tiers), other ? figures(other, tiers) : []];
    if (!candidate.length) {
      const reason = "the candidate lacks the task";
      return [{ attack: CLEAN, tier: null, verdict: "missing", reason }];
    }
    const rows = [unpairedRow({ attack: CLEAN, tier: 0 }, base[0].clean, candidate[0].clean)];
    for (const figure of base) {
      const named = { attack: figure.name, label: figure.label, tier: null };
      const match = candidate.find((each) => sameAttack(each, figure));
      if (!match) rows.push({ ...named, verdict: "missing", reason: "the candidate lacks it" });
      else if (figure.variant || match.variant) {
        rows.push({ ...named, verdict: "not comparable", reason: "run with other parameters than the official ones" });
      } else rows.push(...knownRows(named, figure, match, tiers));
    }
    return rows;
  }

  function knownRows(named, base, candidate, tiers) {
    const known = tiers.filter(([tier]) => base.held.has(tier) && candidate.held.has(tier));
    if (!known.length) {
      return [{ ...named, verdict: "not comparable", reason: "at no budget are both known; elsewhere one is only a bound" }];
    }
    return known.map(([tier, tierText]) =>
      unpairedRow({ ...named, tier, tierText }, base.held.get(tier), candidate.held.get(tier)),
    );
  }

  const unpairedRow = (named, base, candidate) => ({
    ...named,
    verdict: "no evidence",
    unpaired: true,
    ...tests.unpairedDifference(base, candidate),
  });

  // An attack's figures: [successes, total] when clean, and by tier as far as they are exactly known.
  function figures(task, tiers) {
    const measured = task.measured.map((result) => {
      const costs = unlimited(result.costs);
      const holding = (tier) => [costs.filter((cost) => cost > tier).length, costs.length];
      const known = tiers.filter(([tier]) => tier <= result.budget || !holding(tier)[0]);
      return { ...result, clean: holding(0), held: new Map(known.map(([tier]) => [tier, holding(tier)])) };
    });
    const reported = task.reported.map((curve) => ({
      ...curve,
      clean: [curve.clean, curve.examples],
      held: new Map(curve.held.map(([tier, held]) => [tier, [held, curve.examples]])),
    }));
    return [...measured, ...reported];
  }

  // Corrected p-values, and the verdicts that follow for rows that have none yet.
  function judged(rows) {
    const tested = rows.filter((row) => row.verdict === "no evidence" && row.p !== undefined);
    const sides = tested.map(chances);
    const worse = tests.holm(sides.map((side) => side[0]));
    const better = tests.holm(sides.map((side) => side[1]));
    tested.forEach((row, number) => {
      const regressed = worse[number] <= ALPHA;
      row.adjusted = regressed ? worse[number] : Math.min(worse[number], better[number]);
      row.verdict = regressed ? "regressed" : better[number] <= ALPHA ? "improved" : "no evidence";
    });
    return rows;
  }

  // One-sided p-values of a row: worse, better.
  function chances(row) {
    if (row.unpaired) return tests.fisherSides(row.base, row.candidate);
    if (row.lost !== undefined) return tests.mcnemarSides(row.lost, row.gained);
    return tests.logRankSides(row.statistic);
  }

  // What the candidate has and the base has not.
  function added(base, candidate) {
    return candidate.tasks.flatMap((task) => {
      const other = base.tasks.find((each) => each.name === task.name);
      const known = other ? [...other.measured, ...other.reported] : [];
      const lacking = [...task.measured, ...task.reported].filter((each) => !known.some((one) => sameAttack(one, each)));
      return lacking.map((each) => `${task.name} × ${each.name}${telling(each, task.measured)}`);
    });
  }

  window.holdfastCompare = compare;
})();
