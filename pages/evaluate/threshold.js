// The browser's side of pages/evaluate/threshold.py: shows the rates that Python computed at the threshold that is
// dragged to. threshold.py puts threshold_parts.js before it.

const shown = new WeakMap()      // the element on the page -> its state: threshold, prevalence, parameters, how it came to them
const END = 0.0001               // where the stretched scale of scores ends, on either side
const STEPS = 1000               // of the slider
const PREVALENCES = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90]     // in %
const GAINS = {                  // what a rule maximises, as in RULES; what is frozen is chosen again by Python
  youden: (sensitivity, specificity) => sensitivity + specificity - 1,
  sensitivity: (sensitivity, specificity, prevalence, parameter) => sensitivity >= parameter - 1e-12 ? specificity : -Infinity,
  cost: (sensitivity, specificity, prevalence, parameter) => -(parameter * prevalence * (1 - sensitivity) + (1 - prevalence) * (1 - specificity)),
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const place = parentElement.querySelector(".threshold")
  if (!place || !data) return
  const { header, ...rest } = unpack(data)
  const before = shown.get(place)
  if (before?.header.id === header.id) {            // the same scores: what a person set stays
    const was = before.header.frozen?.value
    before.header = header
    before.send = setTriggerValue
    if (header.test && !same(was, header.frozen?.value)) before.set(header.frozen?.value ?? 0.5, "frozen")
    else before.draw()
    return
  }
  before?.watch.disconnect()
  shown.set(place, build(place, header, rest, setTriggerValue, before))
}

function build(place, header, { points, count }, send, before) {
  const { m, n } = header, both = m > 0 && n > 0
  const here = both ? m / (m + n) : 0.5
  const indices = [...points.lowest.keys()]
  const images = indices.slice(1).map(i => [points.lowest[i], points.tp[i] - points.tp[i - 1], points.fp[i] - points.fp[i - 1]])
  images.push([0, m - points.tp[count - 1], n - points.fp[count - 1]])          // a score of 0 is above no threshold
  const ends = images.reduce((sum, [p, a, b]) => sum + (p < 0.05 || p > 0.95 ? a + b : 0), 0)
  const state = {
    header, send, t: header.frozen?.value ?? 0.5, how: header.frozen ? "frozen" : "start",
    prevalence: before?.asked ? before.prevalence : here, asked: before?.asked ?? false,
    parameters: before?.parameters ?? Object.fromEntries(header.rules.map(rule => [rule.rule, rule.parameter?.value ?? null])),
    stretched: before?.stretched ?? ends > 0.6 * (m + n), set, draw,
  }

  // --- what stands there once
  const slider = make("input", { type: "range", min: 0, max: STEPS, step: 1, className: "line" })
  slider.setAttribute("aria-label", "Threshold")
  slider.oninput = () => set(toScore(Number(slider.value) / STEPS), "hand")
  const picture = shape("svg", { role: "img" })
  picture.onpointerdown = event => { picture.setPointerCapture(event.pointerId); drag(event) }
  picture.onpointermove = event => { if (picture.hasPointerCapture(event.pointerId)) drag(event) }
  const readout = make("output", { className: "at" })
  const stretch = make("input", { type: "checkbox", checked: state.stretched })
  stretch.onchange = () => { state.stretched = stretch.checked; draw() }
  const stretchLabel = make("label", { className: "small", title: "Logit scale: shows more of the scores near 0 and 1." },
                            stretch, "logit scale")

  const rules = make("div", { className: "row" })
  for (const rule of header.rules) {
    const button = make("button", { type: "button", title: rule.help, disabled: !both }, rule.title)
    button.onclick = () => apply(rule.rule)
    const group = make("span", { className: "rule" }, button)
    if (rule.parameter) {
      const parameter = make("input", { type: "number", min: rule.parameter.low, max: rule.parameter.high, value: state.parameters[rule.rule],
                                   step: rule.rule === "cost" ? 1 : 0.01, title: rule.help })
      parameter.setAttribute("aria-label", `${rule.title}: ${rule.parameter.name}`)
      parameter.onchange = () => {
        const value = Number(parameter.value)
        if (parameter.value !== "" && value >= rule.parameter.low && value <= rule.parameter.high) {
          state.parameters[rule.rule] = value
          apply(rule.rule)
        } else parameter.value = state.parameters[rule.rule]
      }
      group.append(parameter)
    }
    rules.append(group)
  }

  const prevalence = make("input", { type: "range", min: 0, max: PREVALENCES.length - 1, step: 1 })
  prevalence.setAttribute("aria-label", "Prevalence")
  prevalence.oninput = () => ask(PREVALENCES[prevalence.value] / 100)
  const typed = make("input", { type: "number", min: 0.01, max: 99.99, step: "any" })
  typed.setAttribute("aria-label", "Prevalence in percent")
  typed.onchange = () => { const p = Number(typed.value) / 100; if (p > 0 && p < 1) ask(p); else draw() }
  const asHere = make("button", { type: "button", title: "The prevalence among these images." }, `as in these images: ${percent(here)}`)
  asHere.onclick = () => { state.asked = false; state.prevalence = here; draw() }

  const sentence = make("p", { className: "sentence" }), kept = make("div", { className: "kept" })
  sentence.setAttribute("role", "status")
  const matrix = make("table", { className: "matrix" }), rates = make("table", { className: "rates" })
  const roc = shape("svg", { role: "img" }), pr = shape("svg", { role: "img" })
  const rocTitle = make("h3", { title: `The 95 % interval: ${header.auc_interval ?? "none"}.` },
                        `ROC curve, AUC ${header.auc}`)
  const prTitle = make("h3", {}, "Precision-recall")

  place.replaceChildren(
    make("div", { className: "left" },
      make("div", { className: "row between" }, make("h3", {}, "Scores by true class; shaded: flagged"), stretchLabel),
      picture, slider, make("div", { className: "row between" }, readout),
      ...(header.test ? [] : [rules]),
      make("div", { className: "row" }, make("label", { title: "Share of positives in the population where it will be used. PPV, "
        + "NPV and the sentence below depend on it; sensitivity and specificity do not." }, "Prevalence"), prevalence,
        make("span", { className: "rule" }, typed, " %"), asHere),
      sentence, kept),
    make("div", { className: "right" },
      make("div", { className: "tables" }, matrix, rates),
      make("div", { className: "curves" }, make("div", {}, rocTitle, roc), make("div", {}, prTitle, pr))))
  const room = { place: 0, scores: 0, roc: 0, pr: 0 }       // widths: asking for them while drawing would lay the page out anew
  state.watch = new ResizeObserver(() => { if (place.clientWidth !== room.place) { measure(); draw() } })
  state.watch.observe(place)
  measure()
  draw()
  return state

  // --- what a person does
  function set(t, how) { state.t = Math.min(1, Math.max(0, t)); state.how = how; draw() }

  function ask(share) {
    state.prevalence = share
    state.asked = true
    draw()
  }

  function apply(rule) {
    const gains = indices.map(i => GAINS[rule](points.tp[i] / m, 1 - points.fp[i] / n, state.prevalence, state.parameters[rule]))
    const best = gains.reduce((a, b) => Math.max(a, b))
    if (best > -Infinity) set(middle(points, count, gains.findIndex(gain => gain >= best - 1e-12)), rule)
  }

  function drag(event) {
    const box = picture.getBoundingClientRect()
    set(toScore((event.clientX - box.left - 8) / (box.width - 16)), "hand")
  }

  function toScore(share) {        // place on the axis, 0 to 1 -> score
    if (share <= 0) return 0
    if (share >= 1) return 1
    if (!state.stretched) return share
    return 1 / (1 + Math.exp(-logit(END) * (1 - 2 * share)))
  }

  function toPlace(p) {
    if (!state.stretched) return p
    return 0.5 - logit(Math.min(1 - END, Math.max(END, p))) / logit(END) / 2
  }

  // --- what follows
  function measure() {
    room.place = place.clientWidth
    room.scores = Math.max(260, picture.parentElement.clientWidth)
    room.roc = Math.max(200, roc.parentElement.clientWidth)
    room.pr = Math.max(200, pr.parentElement.clientWidth)
  }

  function draw() {
    const { t, prevalence: share, header } = state
    const i = at(points, count, t), tp = points.tp[i], fp = points.fp[i], fn = m - tp, tn = n - fp
    const sensitivity = tp / m, specificity = tn / n
    slider.value = Math.round(toPlace(t) * STEPS)
    readout.replaceChildren("Threshold ", make("b", {}, score(t)), ...(state.how in GAINS
      ? [` ${header.rules.find(rule => rule.rule === state.how).title}`] : []))
    slider.setAttribute("aria-valuetext", `${score(t)}: ${tp} detected, ${fn} missed, ${fp} false positives`)
    typed.value = Number((100 * share).toPrecision(3))
    prevalence.value = nearest(100 * share)
    prevalence.setAttribute("aria-valuetext", percent(share))
    asHere.disabled = !both

    const sick = people(1000 * share), detected = Math.min(sick, people(1000 * share * sensitivity))
    const alarms = people(1000 * (1 - share) * (1 - specificity))
    sentence.replaceChildren(...(both ? [`Of 1,000 such patients, ${whole(sick)} with \u201c${header.name}\u201d: `,
      make("b", {}, `${whole(detected)} detected`), ", ", make("b", {}, `${whole(sick - detected)} missed`), ", ",
      make("b", {}, `${whole(alarms)} false positives`), "."]
      : ["All images here are of one class, so a threshold cannot be evaluated."]))
    drawTables(i, tp, fn, fp, tn, share)
    drawKept()
    drawScores()
    const precision = (tp, fp) => tp + fp ? posterior(share, (tp / m) / (fp / n)) : NaN
    const frozen = frozenRates()
    drawCurve(roc, room.roc, "1 - specificity", "sensitivity", [[0, 0], [1, 1]],
              () => [...indices.map(i => [points.fp[i] / n, points.tp[i] / m]), [1, 1]], [1 - specificity, sensitivity], frozen,
              `Operating point: sensitivity ${number(sensitivity)}, specificity ${number(specificity)}.`)
    drawCurve(pr, room.pr, "sensitivity (recall)", "precision (PPV)", [[0, share], [1, share]], () => {
      let area = 0
      for (let i = 1; i < count; i++) area += (points.tp[i] - points.tp[i - 1]) / m * precision(points.tp[i], points.fp[i])
      prTitle.textContent = `Precision-recall at ${percent(share)}, average precision ${number(area)}`
      prTitle.title = "Precision depends on the prevalence: the rarer the finding, the lower the curve. Dashed: guessing."
      return [...indices.slice(1).map(i => [points.tp[i] / m, precision(points.tp[i], points.fp[i])]), [1, share]]
    }, tp + fp ? [sensitivity, precision(tp, fp)] : null,
              frozen && frozen[1] + frozen[0] > 0 ? [frozen[1], precision(frozen[1] * m, frozen[0] * n)] : null,
              `Operating point: sensitivity ${number(sensitivity)}, precision ${number(precision(tp, fp))}.`)
  }

  function frozenRates() {         // (1 - specificity, sensitivity) of what is frozen, where the line is elsewhere
    const value = state.header.frozen?.value
    if (value === undefined || same(value, state.t) || !both) return null
    const i = at(points, count, value)
    return [points.fp[i] / n, points.tp[i] / m]
  }

  function drawTables(i, tp, fn, fp, tn, share) {
    const cell = (count, of, right, label) => {
      const td = make("td", { className: right ? "good" : "bad" }, make("b", {}, whole(count)),
                      make("small", {}, of ? `${(100 * count / of).toFixed(1)} %` : "-"))
      td.style.setProperty("--share", of ? count / of : 0)
      td.title = label
      return td
    }
    const { name, rest } = state.header
    matrix.replaceChildren(make("caption", {}, "Images at this threshold"),
      make("tr", {}, make("td"), head("not flagged", "col"), head("flagged", "col")),
      make("tr", {}, head(rest, "row"), cell(tn, n, true, "true negatives"), cell(fp, n, false, "false positives")),
      make("tr", {}, head(name, "row"), cell(fn, m, false, "missed"), cell(tp, m, true, "true positives")))
    const row = (title, help, value, limits, counted = "") => {
      const th = head(title, "row"), known = Number.isFinite(value)
      th.title = help
      return make("tr", {}, th, make("td", {}, number(value)),
                  make("td", {}, known ? `${number(limits[0])} to ${number(limits[1])}` : "-"), make("td", {}, counted))
    }
    const limits = (name, by = x => x) => [by(points[`${name}_low`][i]), by(points[`${name}_high`][i])]
    const among = `at a prevalence of ${percent(share)}.`
    const how = state.header.by_patient
      ? "Wilson's interval, by patient: images of the same patient are correlated, so they count for fewer."
      : "Wilson's interval, images taken as independent."
    const ppv = both && tp + fp ? posterior(share, (tp / m) / (fp / n)) : NaN
    const npv = both && fn + tn ? 1 - posterior(share, (fn / m) / (tn / n)) : NaN
    rates.replaceChildren(make("caption", { title: how }, "Rates with 95 % intervals"),
      row("Sensitivity", "Share of the positive images that are flagged.", tp / m, limits("sensitivity"),
          `${whole(tp)} of ${whole(m)}`),
      row("Specificity", "Share of the negative images that are not flagged.", tn / n, limits("specificity"),
          `${whole(tn)} of ${whole(n)}`),
      row(`PPV at ${percent(share)}`, `Positive predictive value: share of the flagged who have it, ${among}`, ppv,
          limits("lr_positive", ratio => posterior(share, ratio))),
      row(`NPV at ${percent(share)}`, `Negative predictive value: share of those not flagged who do not have it, ${among}`, npv,
          limits("lr_negative", ratio => 1 - posterior(share, ratio)).reverse()))
    for (const tr of [...rates.rows].slice(2)) if (tr.cells[1].textContent === "-") tr.title = "Nobody gets that result."
  }

  function drawKept() {
    const { header, t, how } = state, frozen = header.frozen
    const parts = []
    kept.className = "kept"
    const button = (text, click, primary = false) => {
      const made = make("button", { type: "button", className: primary ? "primary" : "" }, text)
      made.onclick = click
      return made
    }
    if (header.test) {
      const from = frozen ? `frozen on validation (${frozen.says})` : "the default, since nothing was frozen on validation"
      const start = frozen?.value ?? 0.5
      if (same(t, start)) parts.push(make("span", {}, `This threshold is ${from}.`))
      else {
        kept.className = "kept looking"
        parts.push(make("span", {}, make("b", {}, "Not kept. "), `The threshold of this run is ${score(start)}, ${from}. `
          + "A threshold chosen on the test images would be optimistic, so this one cannot be frozen."),
          button(`Back to ${score(start)}`, () => set(start, "frozen")))
      }
    } else {
      if (!frozen) parts.push(make("span", {}, "Nothing is frozen: test is evaluated at 0.5."))
      else parts.push(make("span", {}, `Frozen for test: ${score(frozen.value)}, ${frozen.says}.`))
      if (!frozen || !same(frozen.value, t)) parts.push(button(`Freeze ${score(t)} for test`,
        () => state.send("froze", [how in GAINS ? how : "hand", t, state.parameters[how] ?? null, state.prevalence]), true))
      if (frozen && !same(frozen.value, t))
        parts.push(button(`Back to ${score(frozen.value)}`, () => set(frozen.value, "frozen")))
      if (frozen) parts.push(button("Unfreeze", () => state.send("let_go", true)))
      const opened = header.opened === 1 ? "once" : `${header.opened} times`
      if (header.opened) parts.push(make("span", { className: "small" },
        `The test set of this run was opened ${opened} before. Freeze a threshold before opening it.`))
    }
    const focused = [...kept.querySelectorAll("button")].indexOf(kept.getRootNode().activeElement)
    kept.replaceChildren(...parts)
    if (focused >= 0) kept.querySelectorAll("button")[focused]?.focus()
  }

  function drawScores() {
    const width = room.scores, height = 176, axis = 18
    const x = p => 8 + toPlace(p) * (width - 16)
    size(picture, width, height)
    const over = layer(picture, [width, state.stretched], () => bars(x, width, height, axis))
    const line = x(state.t), frozen = state.header.frozen?.value
    const parts = [shape("rect", { x: line, y: 0, width: Math.max(0, width - 8 - line), height: height - axis, class: "called" })]
    if (frozen !== undefined && !same(frozen, state.t))
      parts.push(shape("line", { x1: x(frozen), x2: x(frozen), y1: 0, y2: height - axis, class: "frozen" }))
    parts.push(shape("line", { x1: line, x2: line, y1: 0, y2: height - axis, class: "cut", stroke: state.header.point }))
    over.replaceChildren(...parts)
    picture.setAttribute("aria-label", `Histogram of scores: ${m} images of ${state.header.name} above, ${n} of `
      + `${state.header.rest} below, each on its own scale. The threshold is at ${score(state.t)}.`)
  }

  function bars(x, width, height, axis) {
    const bins = 40, step = (width - 16) / bins, middle = (height - axis) / 2, parts = []
    const histogram = column => {
      const sums = new Array(bins).fill(0)
      for (const image of images) sums[Math.min(bins - 1, Math.floor(toPlace(image[0]) * bins))] += image[column]
      return sums
    }
    for (const [column, color, up] of [[1, state.header.color, true], [2, state.header.quiet, false]]) {
      const sums = histogram(column), most = Math.max(1, ...sums)
      sums.forEach((sum, b) => {
        if (!sum) return
        const long = Math.max(1, (middle - 15) * sum / most)      // above and below stands whose they are
        parts.push(shape("rect", { x: 8 + b * step + 0.5, y: up ? middle - long : middle, width: step - 1, height: long,
                                   fill: color }))
      })
    }
    parts.push(shape("line", { x1: 8, x2: width - 8, y1: middle, y2: middle, class: "axis" }))
    const ticks = state.stretched ? [0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999] : [0, 0.2, 0.4, 0.6, 0.8, 1]
    for (const tick of ticks)
      parts.push(text(x(tick), height - 4, String(tick), tick === 0 ? "start" : tick === 1 ? "end" : "middle"))
    return [...parts, text(10, 10, `${state.header.name}, ${whole(m)}`, "start"),
            text(width - 10, height - axis - 3, `${state.header.rest}, ${whole(n)}`, "end")]
  }

  function drawCurve(svg, width, across, up, guess, points, point, frozen, says) {
    const height = Math.min(250, width), edge = { l: 40, r: 8, t: 6, b: 32 }
    const x = v => edge.l + v * (width - edge.l - edge.r), y = v => height - edge.b - v * (height - edge.b - edge.t)
    svg.setAttribute("aria-label", `${up} over ${across}. ${says}`)
    size(svg, width, height)
    const { color, point: hue } = state.header, over = layer(svg, [width, ...guess], frame), parts = []
    if (frozen) parts.push(shape("circle", { cx: x(frozen[0]), cy: y(frozen[1]), r: 5, class: "ring" }))
    if (point && both) parts.push(shape("circle", { cx: x(point[0]), cy: y(point[1]), r: 6, class: "point", fill: hue }))
    over.replaceChildren(...parts)

    function frame() {
      const parts = []
      if (!both) return [text(width / 2, height / 2, "no curve: one class has no images", "middle")]
      for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
        parts.push(shape("line", { x1: x(0), x2: x(1), y1: y(tick), y2: y(tick), class: "grid" }),
                   text(edge.l - 5, y(tick) + 4, tick.toFixed(1), "end"),
                   text(x(tick), height - edge.b + 14, tick.toFixed(1), "middle"))
      }
      parts.push(text(x(0.5), height - 3, across, "middle"), text(0, 0, up, "middle"))
      parts.at(-1).setAttribute("transform", `translate(11 ${y(0.5)}) rotate(-90)`)
      parts.push(shape("path", { d: path([...guess.map(([a, b]) => [x(a), y(b)])]), class: "guess" }),
                 shape("path", { d: path(thin(points().map(([a, b]) => [x(a), y(b)]))), class: "curve", stroke: color }))
      return parts
    }
  }
}

function nearest(value) {
  let best = 0
  PREVALENCES.forEach((p, i) => { if (Math.abs(Math.log(p / value)) < Math.abs(Math.log(PREVALENCES[best] / value))) best = i })
  return best
}
