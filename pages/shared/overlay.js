// Pictures with maps over them: what heatmap_image.js and pages/gradcam/what_if.js share. It stands before the code of each.
// `now` is what was set by hand: the opacity of the maps in percent, and whether the true outline is shown.

function unpack(data) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)))
  let at = 4 + length
  const urls = () => header.parts.map(({ kind, length }) =>
    URL.createObjectURL(new Blob([bytes.subarray(at, (at += length))], { type: kind })))
  return { header, urls }
}

function forget(urls) {
  urls.forEach(url => URL.revokeObjectURL(url))
}

function outlined(stage, path) {
  const svg = stage.appendChild(draw("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", "aria-hidden": "true" }))
  svg.append(draw("path", { d: path }))
  return svg
}

// The line below the picture: opacity of the maps, the outlines, and what the colours mean.
function controls(header, now, maps, outlines) {
  const line = make("div", { className: "controls" })
  if (maps.length) {
    const slider = make("input", { type: "range", min: 0, max: 100, step: 1, value: now.opacity })
    slider.dataset.name = "opacity"
    const value = make("output")
    slider.oninput = () => {
      now.opacity = Number(slider.value)
      maps.forEach(map => { map.style.opacity = String(now.opacity / 100) })
      value.textContent = `${now.opacity} %`
    }
    slider.oninput()
    line.append(label("Map opacity", slider, value))
  }
  if (outlines.length) {
    const box = make("input", { type: "checkbox", checked: now.outline })
    box.onchange = () => {
      now.outline = box.checked
      outlines.forEach(svg => { svg.style.display = now.outline ? "" : "none" })
    }
    box.onchange()
    line.append(label("", box, "True outline"))
  }
  if (maps.length) {
    const bar = make("i")
    bar.style.background = `linear-gradient(to right, ${header.colours.join(",")})`
    const legend = make("span", { className: "legend" })
    legend.append(header.low, bar, header.high)
    line.append(legend)
  }
  return line
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

