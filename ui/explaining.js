// The browser's side of `show_map` in ui/explaining.py: two pictures on each other, and what changes them at once.

const shown = new WeakMap()       // the element on the page -> what it shows, its URLs, and what was set by hand

export default function (component) {
  const { data, parentElement } = component
  const figure = parentElement.querySelector("figure")
  if (!figure || !data) return

  const { header, image, map } = unpack(data)
  const now = shown.get(figure) ?? { opacity: 60, outline: false, urls: [] }
  if (now.id !== header.id || now.length !== data.byteLength) {
    now.urls.forEach(url => URL.revokeObjectURL(url))
    now.urls = [URL.createObjectURL(new Blob([image], { type: header.kind }))]
    if (header.map) now.urls.push(URL.createObjectURL(new Blob([map], { type: "image/png" })))
    now.id = header.id
    now.length = data.byteLength
    build(figure, header, now)
  }
  shown.set(figure, now)

  return () => {
    shown.get(figure)?.urls.forEach(url => URL.revokeObjectURL(url))
    shown.delete(figure)
  }
}

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  const pixels = bytes.subarray(4 + length)
  return { header, image: pixels.subarray(0, header.length), map: pixels.subarray(header.length) }
}

function build(figure, header, now) {
  const stage = make("div", { className: "stage" })
  stage.style.aspectRatio = String(header.ratio)
  stage.style.width = `${header.height * header.ratio}px`
  stage.append(make("img", { className: "image", src: now.urls[0], alt: header.label }))
  const controls = make("div", { className: "controls" })

  if (header.map) {
    const over = make("img", { src: now.urls[1], alt: "" })
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: now.opacity })
    const said = make("output")
    slider.oninput = () => {
      now.opacity = Number(slider.value)
      over.style.opacity = String(now.opacity / 100)
      said.textContent = `${now.opacity} %`
    }
    slider.oninput()
    stage.append(over)
    controls.append(label("Map", slider, said))
  }
  if (header.outline) {
    const svg = draw("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" })
    svg.append(draw("path", { d: header.outline }))
    const box = make("input", { type: "checkbox", checked: now.outline })
    box.onchange = () => {
      now.outline = box.checked
      svg.style.display = now.outline ? "" : "none"
    }
    box.onchange()
    stage.append(svg)
    controls.append(label("", box, "true outline"))
  }
  if (header.map) {
    const bar = make("i")
    bar.style.background = `linear-gradient(to right, ${header.colours.join(",")})`
    const legend = make("span", { className: "legend" })
    legend.append(header.low, bar, header.peak)
    controls.append(legend)
  }
  figure.replaceChildren(stage, controls)
  if (header.empty) {
    figure.append(make("div", { className: "note", textContent: "Nothing at this layer speaks for this class: the map is empty." }))
  }
}

function label(...parts) {
  const element = make("label")
  element.append(...parts)
  return element
}

function make(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties)
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}
