// The browser's side of run_table.py: a table that is sorted and picked from by clicks, which the server answers.

const NARROW = 900, PHONE = 520                      // px that the table has: below, what matters less is left out

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const scroll = parentElement.querySelector(".scroll"), table = parentElement.querySelector("table")
  if (!table || !data) return
  table.setAttribute("aria-label", data.label)

  let drawn = null
  const redraw = () => {
    const width = scroll.clientWidth, now = `${width < NARROW} ${width < PHONE}`
    if (!width || now === drawn) return
    drawn = now
    scroll.classList.toggle("narrow", width < NARROW)
    scroll.classList.toggle("phone", width < PHONE)
    fill(table, data, width < NARROW, setTriggerValue)
  }
  table.onkeydown = event => {                       // arrows go from row to row
    const picks = [...table.querySelectorAll(".pick")], at = picks.indexOf(event.target)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: picks.length - 1 }[event.key]
    if (at < 0 || to === undefined) return
    event.preventDefault()
    picks[to]?.focus()
  }
  const buttons = () => [...table.querySelectorAll("button")]
  const focused = buttons().indexOf(parentElement.activeElement), top = scroll.scrollTop      // keep the place
  redraw()
  if (focused >= 0) buttons()[focused]?.focus()
  scroll.scrollTop = top
  if (!scroll.seen && table.rows.length) {           // who comes by a link sees the run that the link names
    scroll.seen = true
    const row = table.querySelector("tr.picked")
    if (row) scroll.scrollTop = row.offsetTop + row.offsetHeight - scroll.clientHeight
  }
  scroll.watch?.disconnect()
  scroll.watch = new ResizeObserver(redraw)
  scroll.watch.observe(scroll)
}

function fill(table, { columns, rows, verb }, narrow, setTriggerValue) {
  const kept = columns.map((column, i) => i).filter(i => !(narrow && columns[i].lesser))
  const withData = columns.some((column, i) => column.key === "data" && kept.includes(i))

  const groups = []                                  // the two columns that stay in place, then runs of equal titles
  kept.forEach((i, place) => {
    const title = columns[i].group ?? "", last = groups.at(-1)
    if (last && last.title === title && place !== 2) last.span += 1
    else groups.push({ title, span: 1 })
  })
  const above = make("tr", groups.map(({ title, span }, i) =>
    make(title ? "th" : "td", title, {                // a header that says nothing is none
      className: i === 0 ? "group stay" : title ? "group first" : "group", colSpan: span, ...title && { scope: "colgroup" } })))
  const head = make("tr", kept.map(i => columns[i]).map(column => {
    const arrow = { down: " \u2193", up: " \u2191" }[column.sorted] ?? ""
    const title = column.title + arrow
    let content = title
    if (column.key) {
      content = make("button", title, { type: "button", title: column.help, disabled: column.shut })
      content.setAttribute("aria-label", column.shut ? `${column.title}: ${column.help}` : `Sort by ${column.title}`)
      content.onclick = () => setTriggerValue("sorted", column.key)
    }
    if (!title) return make("td", "")
    const th = make("th", content, { scope: "col", className: css(column), title: column.help ?? "" })
    if (column.sorted) th.setAttribute("aria-sort", column.sorted === "down" ? "descending" : "ascending")
    return th
  }))
  const body = rows.map(row => {
    const pick = make("button", row.letter, { type: "button", className: "pick", title: `${verb} this run` })
    pick.setAttribute("aria-pressed", String(Boolean(row.letter)))
    pick.setAttribute("aria-label", `${verb} ${row.name}`)
    pick.style.setProperty("--hue", row.hue || "var(--st-primary-color)")
    pick.style.setProperty("--ink", row.ink || "var(--st-background-color)")
    const cells = kept.slice(1).map(i => draw(row.cells[i - 1], columns[i], !withData))
    const line = make("tr", [make("td", pick), ...cells], { className: row.letter ? "picked" : "" })
    line.onclick = event => { event.preventDefault(); setTriggerValue("picked", row.id) }
    return line
  })
  table.replaceChildren(make("thead", [above, head]), make("tbody", body))
}

function draw(cell, column, sayData) {
  if (Array.isArray(cell)) return make("td", cell.map(tag => make("span", tag, { className: "tag" })))
  const { text, best, hue, svg } = cell, small = [sayData && cell.data, cell.small].filter(Boolean)
  const state = hue && make("span", text, { className: "tag", style: `--ink: var(--st-${hue}-text-color); --paper: var(--st-${hue}-background-color)` })
  const image = svg && make("img", [], { src: "data:image/svg+xml," + encodeURIComponent(svg), alt: text, title: text })
  return make("td", [state || image || (best ? make("b", text) : text), ...small.map(line => make("small", line))], { className: css(column) })
}

function css(column) {
  return [column.look ?? "", column.first ? "first" : ""].join(" ").trim()
}

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...[content].flat())               // strings become text, never HTML
  return element
}
