// The browser's side of pages/evaluate/confusion.py.

export default function (component) {
  const { data, parentElement, setTriggerValue } = component
  const table = parentElement.querySelector("table")
  if (!table || !data) return
  const { counts, names, label, selected } = data

  table.setAttribute("aria-label", label)
  table.className = names.length > 5 ? "many" : ""
  const head = make("tr", [make("th", "true \\ predicted", { className: "axis", scope: "col" }),
                           ...names.map(name => make("th", name, { scope: "col" }))])
  const rows = counts.map((row, t) => {
    const total = row.reduce((a, b) => a + b, 0)
    const cells = row.map((count, p) => {
      const share = total ? count / total : 0
      const button = make("button", [make("span", count.toLocaleString("en"), { className: "count" }), " ",
                                     make("span", total ? `${(100 * share).toFixed(1)} %` : "-", { className: "share" })],
                          { type: "button", className: t === p ? "right" : "wrong" })
      button.style.setProperty("--share", share)
      button.setAttribute("aria-label", `${names[t]} predicted as ${names[p]}: ${button.textContent}, of ${total.toLocaleString("en")}`)
      button.setAttribute("aria-pressed", String(selected?.[0] === t && selected?.[1] === p))
      button.onclick = () => {
        for (const other of table.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button))
        setTriggerValue("clicked", [t, p])
      }
      return make("td", [button])
    })
    return make("tr", [make("th", names[t], { scope: "row" }), ...cells])
  })

  const focused = [...table.querySelectorAll("button")].indexOf(parentElement.activeElement)   // keep the place of the keyboard
  table.replaceChildren(make("thead", [head]), make("tbody", rows))
  if (focused >= 0) table.querySelectorAll("button")[focused]?.focus()
}

function make(tag, content, properties = {}) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...[content].flat())               // strings become text, never HTML
  return element
}
