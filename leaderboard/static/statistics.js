// The statistics of a comparison, as `holdfast compare` computes them: paired tests on the same examples, two
// proportions without them, and Holm's correction. Costs are FLOP to break each example, in official order: 0 where it
// was wrong when clean, Infinity where it held. Which tests and why: docs/compare.md.
"use strict";
(() => {
  const Z = 1.959963984540054; // The normal quantile of 95 % intervals.
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  // Logarithms of factorials, summed once and kept.
  const logFactorials = [0];
  function logFactorial(number) {
    for (let next = logFactorials.length; next <= number; next += 1) {
      logFactorials.push(logFactorials[next - 1] + Math.log(next));
    }
    return logFactorials[number];
  }

  const logChoose = (all, some) => logFactorial(all) - logFactorial(some) - logFactorial(all - some);

  // The chance of at least `least` heads in `tosses` tosses of a coin. Summed from the small side, so that it is exact
  // in the tail as well.
  function atLeast(least, tosses) {
    if (least <= 0) return 1;
    let total = 0;
    for (let heads = tosses; heads >= least; heads -= 1) {
      total += Math.exp(logChoose(tosses, heads) - tosses * Math.LN2);
    }
    return Math.min(1, total);
  }

  // The standard normal's upper tail: a series near the middle, a continued fraction [Lentz] beyond.
  function normalAbove(z) {
    if (z < 0) return 1 - normalAbove(-z);
    const x = z / Math.SQRT2;
    if (x < 2) {
      let term = x;
      let total = x;
      for (let step = 1; Math.abs(term) > 1e-18 * total; step += 1) {
        term *= (2 * x * x) / (2 * step + 1);
        total += term;
      }
      return 0.5 - (total * Math.exp(-x * x)) / Math.sqrt(Math.PI);
    }
    let fraction = 0;
    for (let step = 120; step > 0; step -= 1) fraction = step / 2 / (x + fraction);
    return Math.exp(-x * x) / (2 * Math.sqrt(Math.PI) * (x + fraction));
  }

  // Wilson's interval of a proportion [Wilson 1927].
  function wilson(successes, total) {
    const share = successes / total;
    const weight = 1 + (Z * Z) / total;
    const middle = (share + (Z * Z) / (2 * total)) / weight;
    const half = (Z * Math.sqrt((share * (1 - share) + (Z * Z) / (4 * total)) / total)) / weight;
    return [Math.max(0, middle - half), Math.min(1, middle + half)];
  }

  // The exact McNemar test: two-sided, and the chances of `worse` and of `better`.
  const mcnemar = (lost, gained) => Math.min(1, 2 * atLeast(Math.max(lost, gained), lost + gained));
  const mcnemarSides = (lost, gained) => [atLeast(lost, lost + gained), atLeast(gained, lost + gained)];

  // Wald's interval of paired proportions, one example added to each cell that changed [Bonett and Price 2012].
  function pairedInterval(lost, gained, total) {
    const [up, down] = [(gained + 1) / (total + 2), (lost + 1) / (total + 2)];
    const half = Z * Math.sqrt((up + down - (up - down) ** 2) / (total + 2));
    return [Math.max(-1, up - down - half), Math.min(1, up - down + half)];
  }

  // Two victims on the same examples at one cost.
  function pairedDifference(base, candidate, tier) {
    const held = base.map((cost) => cost > tier);
    const now = candidate.map((cost) => cost > tier);
    const lost = held.filter((each, number) => each && !now[number]).length;
    const gained = now.filter((each, number) => each && !held[number]).length;
    return {
      base: [held.filter(Boolean).length, held.length],
      candidate: [now.filter(Boolean).length, now.length],
      difference: (gained - lost) / held.length,
      interval: pairedInterval(lost, gained, held.length),
      lost,
      gained,
      p: mcnemar(lost, gained),
    };
  }

  // The log-rank test of two curves up to `budget`. The statistic is negative where the candidate broke sooner.
  function logRank(base, candidate, budget) {
    const ours = base.filter((cost) => cost <= budget);
    const theirs = candidate.filter((cost) => cost <= budget);
    const times = [...new Set([...ours, ...theirs])].sort((one, other) => one - other);
    const risk = (costs, time) => costs.filter((cost) => cost >= time || cost > budget).length;
    const deaths = (costs, time) => costs.filter((cost) => cost === time).length;
    let expected = 0;
    let variance = 0;
    for (const time of times) {
      const [one, other] = [risk(candidate, time), risk(base, time)];
      const all = one + other;
      const died = deaths(ours, time) + deaths(theirs, time);
      expected += one * (died / all);
      if (all > 1) variance += (one * other * died * (all - died)) / (all * all * (all - 1));
    }
    const statistic = -(theirs.length - expected) / Math.sqrt(variance);
    // Where nothing broke, or all at one cost, the statistic is 0 / 0: no sign of a difference.
    if (!Number.isFinite(statistic)) return { statistic: 0, p: 1 };
    return { statistic, p: Math.min(1, 2 * normalAbove(Math.abs(statistic))) };
  }

  const logRankSides = (statistic) => [normalAbove(-statistic), normalAbove(statistic)];

  // The hypergeometric chances of every number of successes on one side, given the margins of a 2 x 2 table.
  function tables([successes, total], [others, othersTotal]) {
    const all = total + othersTotal;
    const drawn = successes + others;
    const least = Math.max(0, drawn - othersTotal);
    const most = Math.min(drawn, total);
    const chances = [];
    for (let count = least; count <= most; count += 1) {
      const logarithm = logChoose(total, count) + logChoose(othersTotal, drawn - count) - logChoose(all, drawn);
      chances.push([count, Math.exp(logarithm)]);
    }
    return chances;
  }

  // Fisher's exact test: two-sided (tables as likely or less, up to rounding), and the chances of `worse` and `better`.
  function fisher(base, candidate) {
    const chances = tables(candidate, base);
    const seen = chances.find(([count]) => count === candidate[0])[1];
    const unlikely = chances.filter(([, chance]) => chance <= seen * (1 + 1e-9));
    return Math.min(1, sum(unlikely.map(([, chance]) => chance)));
  }

  function fisherSides(base, candidate) {
    const chances = tables(candidate, base);
    const tail = (inside) => Math.min(1, sum(chances.filter(([count]) => inside(count)).map(([, chance]) => chance)));
    return [tail((count) => count <= candidate[0]), tail((count) => count >= candidate[0])];
  }

  // Newcombe's hybrid score interval of candidate minus base [Newcombe 1998, method 10].
  function newcombe(base, candidate) {
    const [before, now] = [base[0] / base[1], candidate[0] / candidate[1]];
    const [[baseLow, baseHigh], [low, high]] = [wilson(...base), wilson(...candidate)];
    const difference = now - before;
    return [difference - Math.hypot(now - low, baseHigh - before), difference + Math.hypot(high - now, before - baseLow)];
  }

  function unpairedDifference(base, candidate) {
    const difference = candidate[0] / candidate[1] - base[0] / base[1];
    return { base, candidate, difference, interval: newcombe(base, candidate), p: fisher(base, candidate) };
  }

  // Holm's step-down method: adjusted p-values in the order given [Holm 1979].
  function holm(chances) {
    const order = chances.map((chance, place) => [chance, place]).sort(([one], [other]) => one - other);
    const adjusted = Array(chances.length);
    let largest = 0;
    order.forEach(([chance, place], number) => {
      largest = Math.max(largest, chance * (chances.length - number));
      adjusted[place] = Math.min(1, largest);
    });
    return adjusted;
  }

  // The official adversary: per example the cheapest break over several attacks, each given the smallest budget. What
  // one run found wrong when clean costs the adversary nothing.
  function adversary(results) {
    const budget = Math.min(...results.map((result) => result.budget));
    const count = Math.min(...results.map((result) => result.costs.length));
    const costs = Array.from({ length: count }, (_, number) => {
      const cheapest = Math.min(...results.map((result) => result.costs[number]));
      return cheapest <= budget ? cheapest : Infinity;
    });
    return { budget, costs };
  }

  window.holdfastStatistics = {
    adversary, fisher, fisherSides, holm, logRank, logRankSides, mcnemar, mcnemarSides, newcombe, normalAbove,
    pairedDifference, pairedInterval, unpairedDifference, wilson,
  };
})();
