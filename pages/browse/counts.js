// The browser's side of pages/browse/counts.py.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const table = parentElement.querySelector("table")
  if (!table || !data) return
  const { names, counts, totals, all, splits, chosen, split } = data
  const longest = Math.max(1, ...totals)

  const cell = (k, s, text, label, properties = {}) => {
    const button = make("button", text, { type: "button", ...properties })
    button.setAttribute("aria-label", label)
    button.setAttribute("aria-pressed", String(k === (chosen ?? -1) && s === (split ?? -1) && (k >= 0 || s >= 0)))
    button.onclick = () => setTriggerValue("clicked", [k, s])
    return button
  }
  const head = make("tr", [
    make("th", "Class", { scope: "col" }),
    ...splits.map((part, s) => {
      const dot = make("i", [])
      dot.style.background = part.color
      return make("th", cell(-1, s, [dot, part.title], `${part.title}: only ${part.full}`), { scope: "col" })
    }),
    make("th", "All", { scope: "col" })])
  const rows = names.flatMap((name, k) => {
    const bar = make("div", counts[k].map((count, s) => {
      const piece = make("b", [])
      piece.style.width = `${(100 * count / longest).toFixed(2)}%`
      piece.style.background = splits[s].color
      piece.title = `${name}, ${splits[s].full}: ${count.toLocaleString("en")}`
      piece.onclick = () => setTriggerValue("clicked", [k, s])
      return piece
    }))
    const barRow = make("tr", make("td", bar, { colSpan: splits.length + 2 }), { className: "bar" })
    barRow.setAttribute("aria-hidden", "true")
    return [
      make("tr", [
        make("th", cell(k, -1, name, `Only ${name}`, { title: name }), { scope: "row" }),
        ...counts[k].map((count, s) => make("td", cell(k, s, count.toLocaleString("en"), `${count.toLocaleString("en")} ${name}, ${splits[s].full}`))),
        make("td", totals[k].toLocaleString("en"))], { className: k === chosen ? "chosen" : "" }),
      barRow]
  })
  const sum = make("tr", [make("th", "All images", { scope: "row" }), ...all.map(n => make("td", n.toLocaleString("en")))],
                   { className: "sum" })

  const focused = [...table.querySelectorAll("button")].indexOf(parentElement.activeElement)   // keep the place of the keyboard
  table.replaceChildren(make("thead", head), make("tbody", [...rows, sum]))
  if (focused >= 0) table.querySelectorAll("button")[focused]?.focus()
}

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...[content].flat())               // strings become text, never HTML
  return element
}
