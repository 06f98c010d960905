// Encrypts runs of blocks for encrypt.worker.js: one of several, so that all cores work.

import { blockCipher, encryptBlocks, nonceMaker } from "./crypt4gh.js";

const state = {};

self.onmessage = async ({ data }) => {
  try {
    if (data.dataKey) {
      state.cipher = await blockCipher(data.dataKey, data.allowNative);
      state.nonceOf = await nonceMaker(data.dataKey);
      self.postMessage({ id: data.id, ok: true, native: state.cipher.native });
      return;
    }
    const sealed = await encryptBlocks(state.cipher, state.nonceOf, data.plain, data.first);
    self.postMessage({ id: data.id, ok: true, sealed }, [sealed.buffer]);
  } catch (error) {
    self.postMessage({ id: data.id, ok: false, message: String(error.message ?? error) });
  }
};
