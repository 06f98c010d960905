// The marketplace's API as seen from here. It is told who we are and holds ciphertext; no key goes there.

import { b64, concat, hex, sha256, utf8 } from "./bytes.js";
import { config } from "./config.js";
import { ask } from "./http.js";

export class Market {
  constructor(home) {
    this.home = home;
    this.token = null;
    this.tag = null;
  }

  static async url(path) {
    return `${(await config()).trust.marketplace_url}/api/v1${path}`;
  }

  static async anonymous(path, options) {
    return ask(await Market.url(path), options);
  }

  static vaultAt(locator) {
    return Market.anonymous(`/vaults/${locator}`);
  }

  // Open a session by signing a random challenge with a key the ledger binds to us. The signed text
  // starts unlike any ledger statement, so it can never be turned into a consent.
  async signIn() {
    const { party } = this.home;
    const signer = this.home.signer();
    const { challenge } = await Market.anonymous("/session/challenge", { method: "POST", json: { party } });
    const origin = (await config()).trust.marketplace_url.replace(/\/$/, "");
    const message = concat(utf8("omic/session/v1\n"), utf8(challenge), utf8(`\n${origin}`));
    const [signature] = await signer.sign(message);
    const answer = { party, challenge, public_key: b64(signer.publicKey), signature: b64(signature) };
    this.token = (await Market.anonymous("/session", { method: "POST", json: answer })).token;
  }

  // A session ends after some hours, also in the middle of a long upload: then another is opened.
  async call(path, options = {}) {
    const had = this.token;
    if (had === null) await this.signIn();
    try {
      return await this.asked(path, options);
    } catch (error) {
      if (error.status !== 401 || had === null) throw error;
      await this.signIn();
      return this.asked(path, options);
    }
  }

  async asked(path, { method = "GET", headers = {}, ...rest }) {
    const auth = { ...headers, Authorization: `Bearer ${this.token}` };
    return ask(await Market.url(path), { method, headers: auth, ...rest });
  }

  post(path, json = {}) {
    return this.call(path, { method: "POST", json });
  }

  // Our own copy, with its tag for the next write; null where there is none.
  async keptVault() {
    try {
      const response = await this.call("/me/vault", { raw: true });
      this.tag = response.headers.get("ETag");
      return await response.json();
    } catch (error) {
      if (error.status !== 404) throw error;
      return null;
    }
  }

  async backUp(closed) {
    const response = await this.call("/me/vault", {
      method: "PUT", json: closed, raw: true, headers: this.tag ? { "If-Match": this.tag } : {},
    });
    this.tag = response.headers.get("ETag");
    await response.arrayBuffer();
  }

  async sendPart(dataset, number, bytes, digest) {
    const headers = { "X-Content-SHA256": digest };
    return this.call(`/uploads/${dataset}/parts/${number}`, { method: "PUT", body: bytes, headers });
  }

  // A part of a dataset, cut and encrypted anew, for whoever holds a link.
  async sendShared(share, bytes, token) {
    const headers = { "X-Content-SHA256": hex(await sha256(bytes)), "X-Token-SHA256": token };
    return this.call(`/passport/${share}`, { method: "PUT", body: bytes, headers });
  }

  async download(path) {
    return new Uint8Array(await (await this.call(path, { raw: true })).arrayBuffer());
  }
}
