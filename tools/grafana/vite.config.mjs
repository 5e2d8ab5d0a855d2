export default {
  define: { 'process.env.NODE_ENV': '"production"', 'process.env': '{}', global: 'globalThis' },
  esbuild: { jsx: 'automatic' },
  build: { minify: false, reportCompressedSize: false, chunkSizeWarningLimit: 1e6 },
  logLevel: 'warn',
};
