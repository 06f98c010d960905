// What this browser keeps between visits: the closed vault and uploads under way. IndexedDB.

function database() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("omic", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kept");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function run(mode, act) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const change = db.transaction("kept", mode);
    const request = act(change.objectStore("kept"));
    change.oncomplete = () => resolve(request.result);
    change.onabort = change.onerror = () => reject(change.error);
  }).finally(() => db.close());
}

export const get = (name) => run("readonly", (store) => store.get(name));
export const put = (name, value) => run("readwrite", (store) => store.put(value, name));
export const remove = (name) => run("readwrite", (store) => store.delete(name));
