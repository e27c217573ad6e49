// The browser side of pages/network/receptive_field.py: a square on an image shows what one unit of a layer sees.

const chosen = new WeakMap()        // element -> { step, at: place of the pointer as a share of the image }
const SVG = "http://www.w3.org/2000/svg"

export default function (component) {
  const { data, parentElement } = component
  const field = parentElement.querySelector(".field")
  if (!field || !data) return
  const { steps, size } = data
  const picture = field.querySelector(".picture"), image = field.querySelector("img")
  const over = field.querySelector("svg"), side = field.querySelector(".side")
  const before = chosen.get(field)
  // Who looks at the last layer goes on doing so when layers are added.
  const state = { step: before && !before.last ? Math.min(before.step, steps.length - 1) : steps.length - 1,
                  at: before?.at ?? { x: 0.5, y: 0.5 } }
  if (image.src !== data.image) image.src = data.image
  image.alt = data.alt
  image.classList.toggle("few", size <= 96)
  over.setAttribute("viewBox", `0 0 ${size} ${size}`)
  over.setAttribute("aria-hidden", "true")

  side.replaceChildren()
  const headline = add(side, "div"), slider = add(side, "input"), seen = add(side, "div", "large"), below = add(side, "div")
  slider.type = "range"
  slider.min = 0
  slider.max = steps.length - 1
  slider.setAttribute("aria-label", "Layer")
  const list = add(side, "ol")
  steps.forEach((step, k) => {
    const row = add(list, "li")
    add(row, "span").textContent = step.title
    add(row, "span").textContent = `${step.field} px`
    row.onclick = () => show(k)
  })

  slider.oninput = () => show(Number(slider.value))
  picture.onpointermove = event => {
    const box = picture.getBoundingClientRect()
    state.at = { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height }
    draw()
  }
  picture.onpointerleave = () => { state.at = { x: 0.5, y: 0.5 }; draw() }
  show(state.step)

  function show(k) {
    const step = steps[k]
    state.step = k
    chosen.set(field, { ...state, last: k === steps.length - 1 })
    slider.value = k
    slider.setAttribute("aria-valuetext", `${step.title}: sees ${step.field} pixels`)
    headline.replaceChildren()
    add(headline, "b").textContent = step.title
    headline.append(` outputs ${step.maps}`)
    seen.textContent = `sees ${step.field} x ${step.field} px` + (step.field < size ? `, ${step.share} of the side` : "")
    below.textContent = step.field >= size ? "At least as large as the image." :
      `The fields of neighbouring units lie ${step.jump} px apart.`
    list.querySelectorAll("li").forEach((row, n) => row.classList.toggle("now", n === k))
    draw()
  }

  // The unit nearest to the pointer, and what it sees: units lie `jump` pixels apart.
  function windowOf(step, share) {
    const unit = Math.max(0, Math.min(step.size - 1, Math.round((share * size - step.first - step.field / 2) / step.jump)))
    return step.first + unit * step.jump
  }

  function draw() {
    over.replaceChildren()
    const step = steps[state.step]
    const x = windowOf(step, state.at.x), y = windowOf(step, state.at.y), f = step.field
    const shade = document.createElementNS(SVG, "path")
    shade.setAttribute("d", `M0 0H${size}V${size}H0ZM${x} ${y}V${y + f}H${x + f}V${y}Z`)
    shade.setAttribute("class", "shade")
    over.append(shade)
    steps.slice(0, state.step).forEach(earlier => square("before", earlier))
    square("seen", step)
  }

  function square(kind, step) {
    const rect = document.createElementNS(SVG, "rect")
    rect.setAttribute("class", kind)
    for (const [name, value] of [["x", windowOf(step, state.at.x)], ["y", windowOf(step, state.at.y)], ["width", step.field],
                                 ["height", step.field]]) rect.setAttribute(name, value)
    over.append(rect)
  }
}

function add(parent, tag, className) {
  const element = document.createElement(tag)
  if (className) element.className = className
  return parent.appendChild(element)
}
