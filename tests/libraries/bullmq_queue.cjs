// bullmq_queue.cjs PORT work QUEUE:   a queue does three jobs, of which the second fails
// bullmq_queue.cjs PORT events QUEUE: what those who listen to the queue hear, from the first event to that of the last job
const { Queue, QueueEvents, Worker } = require('bullmq');

const [port, command, name] = process.argv.slice(2);
const connection = { host: '127.0.0.1', port: Number(port), maxRetriesPerRequest: null };

async function work() {
  const queue = new Queue(name, { connection });
  const jobs = [1, 2, 3].map((order) => ({ name: 'bill', data: { order, customer: 'Zoë' } }));
  await queue.addBulk(jobs);
  let left = jobs.length;
  await new Promise((resolve) => {
    const settled = () => --left || resolve();
    const worker = new Worker(name, async ({ data }) => {
      if (data.order === 2) throw new Error('no such customer');
      return { billed: data.order, to: data.customer };
    }, { connection });
    worker.on('completed', settled);
    worker.on('failed', settled);
    worker.on('error', (error) => { throw error; });
  });
}

async function events() {
  const heard = new QueueEvents(name, { connection, lastEventId: '0-0' });
  heard.on('error', (error) => { throw error; });
  let left = 3;
  await new Promise((resolve) => {
    const settled = (line) => {
      console.log(line);
      if (!--left) resolve();
    };
    heard.on('completed', ({ jobId, returnvalue }) => settled(`${jobId} completed ${JSON.stringify(returnvalue)}`));
    heard.on('failed', ({ jobId, failedReason }) => settled(`${jobId} failed ${failedReason}`));
  });
}

// What is awaited is done: the connections that are open would keep the process alive.
({ work, events })[command]().then(() => process.exit(0));
