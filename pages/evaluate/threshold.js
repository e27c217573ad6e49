// The browser's side of pages/evaluate/threshold.py: every number that follows the drag. What each means: core/evaluation/thresholds.py.

const shown = new WeakMap()      // the element on the page -> its state: threshold, prevalence, wishes, how it came to them
const SVG = "http://www.w3.org/2000/svg"
const Z = 1.959964               // as in core/metrics/ranking.py
const END = 0.0001               // where the stretched scale of scores ends, on either side
const STEPS = 1000               // of the slider
const PREVALENCES = [0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90]     // in %
const GAINS = {                  // what a rule makes as large as it can, as in RULES
  youden: (found, left) => found + left - 1,
  sensitivity: (found, left, prevalence, wish) => found >= wish - 1e-12 ? left : -Infinity,
  cost: (found, left, prevalence, wish) => -(wish * prevalence * (1 - found) + (1 - prevalence) * (1 - left)),
}

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const place = parentElement.querySelector(".threshold")
  if (!place || !data) return
  const { header, ...scores } = unpack(data)
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
  shown.set(place, build(place, header, scores, setTriggerValue, before))
}

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const rest = new Float32Array(bytes.slice(4 + length).buffer)            // a copy: the view may start at any byte
  const m = header.n, n = header.by_patient ? (rest.length - 2) / 2 - m : rest.length - m
  const worthOf = (first, many) => header.by_patient ? rest.subarray(first, first + many + 1) : null
  return { header, positives: rest.subarray(0, m), negatives: rest.subarray(m, m + n),
           worths: [worthOf(m + n, m), worthOf(m + n + m + 1, n)] }
}

// ------------------------------------------------------------------------------------------------------------ numbers

function above(sorted, t) {      // how many are larger than t
  let low = 0, high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle] > t) high = middle
    else low = middle + 1
  }
  return sorted.length - low
}

function wilson(k, many, n = many) {      // k of so many, which count for n independent ones
  const p = k / many, middle = (p * n + Z * Z / 2) / (n + Z * Z)
  const half = Z * Math.sqrt(n) / (n + Z * Z) * Math.sqrt(p * (1 - p) + Z * Z / (4 * n))
  return [Math.max(middle - half, 0), Math.min(middle + half, 1)]
}

function predictive(share, right, wrong) {      // value and limits; null where nobody got that answer
  const a = right[0] / right[1], b = wrong[0] / wrong[1]
  if (!(a + b > 0)) return null
  const [la, ua] = wilson(...right), [lb, ub] = wilson(...wrong)
  const root = (x, y) => Math.sqrt(Math.max(0, (a * b) ** 2 - x * (2 * a - x) * y * (2 * b - y)))
  const low = la > 0 ? la * (2 * a - la) / (a * b + root(la, ub)) : 0
  const high = lb > 0 ? (a * b + root(ua, lb)) / (lb * (2 * b - lb)) : Infinity
  const by = ratio => ratio === Infinity ? 1 : share * ratio / (share * ratio + 1 - share)
  return { value: share * a / (share * a + (1 - share) * b), limits: [by(low), by(high)] }
}

// Each threshold that makes a difference, from "call nobody" down: { t, tp, fp }.
function cuts(positives, negatives) {
  const found = [{ t: 1, tp: 0, fp: 0 }]
  let i = positives.length, j = negatives.length
  while (i || j) {
    const edge = Math.max(i ? positives[i - 1] : -1, j ? negatives[j - 1] : -1)
    if (edge <= 0) break                            // no threshold in [0, 1] calls a score of 0
    while (i && positives[i - 1] === edge) i--
    while (j && negatives[j - 1] === edge) j--
    const below = Math.max(i ? positives[i - 1] : 0, j ? negatives[j - 1] : 0)
    found.push({ t: below + (edge - below) / 2, tp: positives.length - i, fp: negatives.length - j })
  }
  return found
}

const number = (value, digits = 3) => Number.isFinite(value) ? value.toFixed(digits) : "-"
const whole = value => value.toLocaleString("en")
const percent = share => `${Number((100 * share).toPrecision(3))} %`
const same = (a, b) => a === b || Math.abs(a - b) < 1e-9
const people = value => Math.floor(value + 0.5 + 1e-9)
const logit = p => Math.log(p / (1 - p))

function score(t) {              // a threshold in as many digits as it needs
  return t === 0 || t === 1 ? String(t) : t < 0.01 || t > 0.99 ? t.toFixed(5) : t.toFixed(3)
}

// ---------------------------------------------------------------------------------------------------------- the element

function build(place, header, { positives, negatives, worths }, send, before) {
  const m = positives.length, n = negatives.length, both = m > 0 && n > 0
  const here = both ? m / (m + n) : 0.5
  const all = cuts(positives, negatives)
  const ends = [...positives, ...negatives].filter(p => p < 0.05 || p > 0.95).length
  const state = {
    header, send, t: header.frozen?.value ?? 0.5, how: header.frozen ? "frozen" : "start",
    prevalence: before?.asked ? before.prevalence : here, asked: before?.asked ?? false,
    wishes: before?.wishes ?? Object.fromEntries(header.rules.map(rule => [rule.rule, rule.wish?.value ?? null])),
    stretched: before?.stretched ?? ends > 0.6 * (m + n), set, draw,
  }

  // --- what stands there once
  const slider = make("input", { type: "range", min: 0, max: STEPS, step: 1, className: "line" })
  slider.setAttribute("aria-label", "Threshold")
  slider.oninput = () => set(toScore(Number(slider.value) / STEPS), "hand")
  const picture = shape("svg", { role: "img" })
  picture.onpointerdown = event => { picture.setPointerCapture(event.pointerId); drag(event) }
  picture.onpointermove = event => { if (picture.hasPointerCapture(event.pointerId)) drag(event) }
  const at = make("output", { className: "at" })
  const stretch = make("input", { type: "checkbox", checked: state.stretched })
  stretch.onchange = () => { state.stretched = stretch.checked; draw() }
  const stretchLabel = make("label", { className: "small", title: "Shows more of the scores near 0 and near 1, where many lie." },
                            stretch, "stretch both ends")

  const rules = make("div", { className: "row" })
  for (const rule of header.rules) {
    const button = make("button", { type: "button", title: rule.help, disabled: !both }, rule.title)
    button.onclick = () => apply(rule.rule)
    const group = make("span", { className: "rule" }, button)
    if (rule.wish) {
      const wish = make("input", { type: "number", min: rule.wish.low, max: rule.wish.high, value: state.wishes[rule.rule],
                                   step: rule.rule === "cost" ? 1 : 0.01, title: rule.help })
      wish.setAttribute("aria-label", `${rule.title}: ${rule.wish.name}`)
      wish.onchange = () => {
        const value = Number(wish.value)
        if (wish.value !== "" && value >= rule.wish.low && value <= rule.wish.high) {
          state.wishes[rule.rule] = value
          apply(rule.rule)
        } else wish.value = state.wishes[rule.rule]
      }
      group.append(wish)
    }
    rules.append(group)
  }

  const prevalence = make("input", { type: "range", min: 0, max: PREVALENCES.length - 1, step: 1 })
  prevalence.setAttribute("aria-label", "Prevalence")
  prevalence.oninput = () => ask(PREVALENCES[prevalence.value] / 100)
  const typed = make("input", { type: "number", min: 0.01, max: 99.99, step: "any" })
  typed.setAttribute("aria-label", "Prevalence in percent")
  typed.onchange = () => { const p = Number(typed.value) / 100; if (p > 0 && p < 1) ask(p); else draw() }
  const asHere = make("button", { type: "button", title: "The share of them among these images." }, `as here: ${percent(here)}`)
  asHere.onclick = () => { state.asked = false; state.prevalence = here; draw() }

  const sentence = make("p", { className: "sentence" }), kept = make("div", { className: "kept" })
  sentence.setAttribute("role", "status")
  const matrix = make("table", { className: "matrix" }), rates = make("table", { className: "rates" })
  const roc = shape("svg", { role: "img" }), pr = shape("svg", { role: "img" })
  const rocTitle = make("h4", { title: `The 95 % interval: ${header.auc_interval ?? "none"}.` },
                        `ROC curve, AUC ${header.auc}`)
  const prTitle = make("h4", {}, "Precision-recall")

  place.replaceChildren(
    make("div", { className: "left" },
      make("div", { className: "row between" }, make("h4", {}, "Scores by true class; shaded: called back"), stretchLabel),
      picture, slider, make("div", { className: "row between" }, at),
      ...(header.test ? [] : [rules]),
      make("div", { className: "row" }, make("label", { title: "Share of people with the finding among those who will come. PPV, "
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
    const gains = all.map(cut => GAINS[rule](cut.tp / m, 1 - cut.fp / n, state.prevalence, state.wishes[rule]))
    const best = gains.reduce((a, b) => Math.max(a, b))
    if (best > -Infinity) set(all[gains.findIndex(gain => gain >= best - 1e-12)].t, rule)
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
    const tp = above(positives, t), fp = above(negatives, t), fn = m - tp, tn = n - fp
    const found = tp / m, left = tn / n
    slider.value = Math.round(toPlace(t) * STEPS)
    at.replaceChildren("Threshold ", make("b", {}, score(t)), ...(state.how in GAINS
      ? [` ${header.rules.find(rule => rule.rule === state.how).title}`] : []))
    slider.setAttribute("aria-valuetext", `${score(t)}: ${tp} found, ${fn} missed, ${fp} false alarms`)
    typed.value = Number((100 * share).toPrecision(3))
    prevalence.value = nearest(100 * share)
    prevalence.setAttribute("aria-valuetext", percent(share))
    asHere.disabled = !both

    const sick = people(1000 * share), caught = Math.min(sick, people(1000 * share * found))
    const nothing = people(1000 * (1 - share) * (1 - left))
    sentence.replaceChildren(...(both ? [`Of 1,000 such patients, ${whole(sick)} with \u201c${header.name}\u201d: `,
      make("b", {}, `${whole(caught)} found`), ", ", make("b", {}, `${whole(sick - caught)} missed`), ", ",
      make("b", {}, `${whole(nothing)} called back for nothing`), "."]
      : ["All images here are of one side, so a threshold cannot be judged."]))
    drawTables(tp, fn, fp, tn, share)
    drawKept()
    drawScores()
    const precision = cut => cut.tp + cut.fp ? share * cut.tp / m / (share * cut.tp / m + (1 - share) * cut.fp / n) : NaN
    const frozen = frozenRates()
    drawCurve(roc, room.roc, "1 - specificity", "sensitivity", [[0, 0], [1, 1]],
              () => [...all.map(cut => [cut.fp / n, cut.tp / m]), [1, 1]], [1 - left, found], frozen,
              `Operating point: sensitivity ${number(found)}, specificity ${number(left)}.`)
    drawCurve(pr, room.pr, "sensitivity (recall)", "precision (PPV)", [[0, share], [1, share]], () => {
      let area = 0
      for (let i = 1; i < all.length; i++) area += (all[i].tp - all[i - 1].tp) / m * precision(all[i])
      prTitle.textContent = `Precision-recall at ${percent(share)}, average precision ${number(area)}`
      prTitle.title = "Precision depends on the prevalence: the rarer the finding, the lower the curve. Dashed: guessing."
      return [...all.slice(1).map(cut => [cut.tp / m, precision(cut)]), [1, share]]
    }, tp + fp ? [found, precision({ tp, fp })] : null,
              frozen && frozen[1] + frozen[0] > 0 ? [frozen[1], precision({ tp: frozen[1] * m, fp: frozen[0] * n })] : null,
              `Operating point: sensitivity ${number(found)}, precision ${number(precision({ tp, fp }))}.`)
  }

  function frozenRates() {         // (1 - specificity, sensitivity) of what is frozen, where the line is elsewhere
    const value = state.header.frozen?.value
    if (value === undefined || same(value, state.t) || !both) return null
    return [above(negatives, value) / n, above(positives, value) / m]
  }

  function drawTables(tp, fn, fp, tn, share) {
    const cell = (count, of, right, label) => {
      const td = make("td", { className: right ? "good" : "bad" }, make("b", {}, whole(count)),
                      make("small", {}, of ? `${(100 * count / of).toFixed(1)} %` : "-"))
      td.style.setProperty("--share", of ? count / of : 0)
      td.title = label
      return td
    }
    const { name, rest } = state.header
    matrix.replaceChildren(make("caption", {}, "Images at this threshold"),
      make("tr", {}, head(""), head("called back", "col"), head("left alone", "col")),
      make("tr", {}, head(name, "row"), cell(tp, m, true, "found"), cell(fn, m, false, "missed")),
      make("tr", {}, head(rest, "row"), cell(fp, n, false, "false alarms"), cell(tn, n, true, "rightly left alone")))
    const positive = worths[0]?.[tp], negative = worths[1]?.[fp]
    const row = (title, help, k, of, worth, rate) => {
      const th = head(title, "row")
      th.title = help
      const says = rate ?? (of ? { value: k / of, limits: wilson(k, of, worth) } : null)
      return make("tr", {}, th, make("td", {}, says ? number(says.value) : "-"),
                  make("td", {}, says ? `${number(says.limits[0])} to ${number(says.limits[1])}` : "-"),
                  make("td", {}, of === null ? "" : `${whole(k)} of ${whole(of)}`))
    }
    const at = `among people of whom ${percent(share)} have it.`
    const how = state.header.by_patient
      ? "Wilson's interval, by patient: images of one patient hang together and count for fewer."
      : "Wilson's interval, each image by itself."
    rates.replaceChildren(make("caption", { title: how }, "Rates with 95 % intervals"),
      row("Sensitivity", "Of the images with the finding, the share that is called back.", tp, m, positive),
      row("Specificity", "Of the images without it, the share that is left alone.", tn, n, negative),
      row(`PPV at ${percent(share)}`, `Of those who are called back, the share that has it, ${at}`, 0, null, null,
          both ? predictive(share, [tp, m, positive], [fp, n, negative]) : null),
      row(`NPV at ${percent(share)}`, `Of those who are left alone, the share that is well, ${at}`, 0, null, null,
          both ? predictive(1 - share, [tn, n, negative], [fn, m, positive]) : null))
    for (const tr of [...rates.rows].slice(2)) if (tr.cells[1].textContent === "-") tr.title = "Nobody gets that answer."
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
        parts.push(make("span", {}, make("b", {}, "Only looking. "), `The threshold of this run is ${score(start)}, ${from}. `
          + "A threshold picked by the test images would be too good to be true, so this one cannot be kept."),
          button(`Back to ${score(start)}`, () => set(start, "frozen")))
      }
    } else {
      if (!frozen) parts.push(make("span", {}, "Nothing is frozen: the test is judged at 0.5."))
      else parts.push(make("span", {}, `Frozen for the test: ${score(frozen.value)}, ${frozen.says}.`))
      if (!frozen || !same(frozen.value, t)) parts.push(button(`Freeze ${score(t)} for the test`,
        () => state.send("froze", [how in GAINS ? how : "hand", t, state.wishes[how] ?? null, state.prevalence]), true))
      if (frozen && !same(frozen.value, t))
        parts.push(button(`Back to ${score(frozen.value)}`, () => set(frozen.value, "frozen")))
      if (frozen) parts.push(button("Let it go", () => state.send("let_go", true)))
      const opened = header.opened === 1 ? "once" : `${header.opened} times`
      if (header.opened) parts.push(make("span", { className: "small" },
        `The test set of this run was opened ${opened} already. A threshold should be frozen before anybody looks.`))
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
      + `${state.header.rest} below, each side to its own scale. The line stands at ${score(state.t)}.`)
  }

  function bars(x, width, height, axis) {
    const bins = 40, step = (width - 16) / bins, middle = (height - axis) / 2, parts = []
    const count = scores => {
      const sums = new Array(bins).fill(0)
      for (const p of scores) sums[Math.min(bins - 1, Math.floor(toPlace(p) * bins))]++
      return sums
    }
    for (const [scores, color, up] of [[positives, state.header.color, true], [negatives, state.header.quiet, false]]) {
      const sums = count(scores), most = Math.max(1, ...sums)
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
      if (!both) return [text(width / 2, height / 2, "no curve: one side has no images", "middle")]
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

// --------------------------------------------------------------------------------------------------------- small parts

function nearest(value) {
  let best = 0
  PREVALENCES.forEach((p, i) => { if (Math.abs(Math.log(p / value)) < Math.abs(Math.log(PREVALENCES[best] / value))) best = i })
  return best
}

function thin(points) {          // leaves out what is nearer than half a pixel to the point before
  const kept = []
  points.forEach(([x, y], i) => {
    const last = kept.at(-1)
    if (!last || i === points.length - 1 || Math.abs(x - last[0]) + Math.abs(y - last[1]) > 0.5) kept.push([x, y])
  })
  return kept
}

// What stays while one drags is drawn again only when `key` changes; returns the group for what moves.
function layer(svg, key, still) {
  if (svg.dataset.key !== String(key)) {
    svg.replaceChildren(shape("g", {}), shape("g", {}))
    svg.firstChild.append(...still())
    svg.dataset.key = key
  }
  return svg.lastChild
}

const path = points => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")

function size(svg, width, height) {
  svg.setAttribute("width", width)
  svg.setAttribute("height", height)
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`)
}

function text(x, y, content, anchor) {
  const element = shape("text", { x, y, "text-anchor": anchor })
  element.textContent = content
  return element
}

function head(content, scope) {
  const th = make("th", {}, content)
  if (scope) th.scope = scope
  return th
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)                       // strings become text, never HTML
  return element
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}
