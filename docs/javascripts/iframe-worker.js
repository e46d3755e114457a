// The search runs in a worker, which browsers refuse to pages that are opened from a folder (file:). For those, a
// hidden frame takes its place: the same script, the same messages. The theme's own stand-in is loaded from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.documentElement.append(frame)
      this.inside = frame.contentWindow
      this.inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.inside.importScripts = (...scripts) => Promise.all(scripts.map(script => this.load(script)))
      this.ready = this.load(address)
    }

    load(address) {
      const script = this.inside.document.createElement("script")
      script.src = new URL(address, location)
      return new Promise((done, failed) => {
        script.onload = done
        script.onerror = failed
        this.inside.document.documentElement.append(script)
      })
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }
  }
}
