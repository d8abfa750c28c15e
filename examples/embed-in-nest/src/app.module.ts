import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { queueEntities, queueMigrations, QueueModule } from 'turnpike';
import { Orders1764100000000 } from './migrations/1764100000000-orders.js';
import { Order } from './order.entity.js';
import { OrdersService } from './orders.service.js';
import { ShipOrderHandler } from './ship-order.handler.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      entities: [Order, ...queueEntities],
      migrations: [...queueMigrations, Orders1764100000000],
      migrationsRun: true,
      installExtensions: false,
    }),
    QueueModule.forRootAsync({
      imports: [TypeOrmModule.forFeature([Order])],
      handler: ShipOrderHandler,
      useFactory: () => ({ workers: 2 }),
    }),
  ],
  providers: [OrdersService],
})
export class AppModule {}
