// Shows new mail: the server tells the version of the mailbox now and whenever it changes.
const shown = document.currentScript.dataset.version;
const events = new EventSource('/events');
events.onmessage = (event) => {
  if (event.data !== shown) location.reload();
};
addEventListener('pagehide', () => events.close());
